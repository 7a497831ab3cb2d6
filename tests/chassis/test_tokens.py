"""Tokens: what auth has written is read as it was meant, and nothing else is taken for it (sec-A11)."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import APIRouter
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from chassis import access, http, signing, tokens
from chassis.errors import Misconfigured
from chassis.signing import Key
from chassis.tokens import Assurance, BadToken
from deploy.local import keysets
from tests.chassis.http_app import client_of, logged
from tests.support.tickets import (
    CANARY,
    KEY,
    bearer,
    body,
    carried,
    claims,
    encoded,
    key_file,
    of_system,
    signed,
    token,
    verifier,
)

P256 = signing.new_key("auth-2", "P-256")
THEN = datetime.now(UTC)


@pytest.mark.goal("sec-A11")
@pytest.mark.parametrize("key", [KEY, P256], ids=["Ed25519", "ES256"])
@pytest.mark.parametrize(
    "made",
    [claims, of_system, partial(of_system, organisation_id=None, rights=frozenset())],
    ids=["person", "shop", "bare"],
)
def test_what_is_signed_is_what_is_read(made: Callable[[], tokens.Claims], key: Key) -> None:
    said = made()
    assert verifier().verify(tokens.sign(said, KEY)) == said
    both = tokens.Verifier({"auth-1": KEY, "auth-2": P256}, issuer=said.issuer, audience=said.audience)
    assert both.verify(tokens.sign(said, key)) == said


def test_a_person_has_an_account_and_a_system_a_name() -> None:
    person, system = claims(), of_system()
    assert (str(person.account_id), person.system) == (person.subject, None)
    assert (system.account_id, system.system) == (None, "shop")


def test_assurance_is_ordered() -> None:
    low, substantial, high = Assurance
    assert [each.reaches(substantial) for each in (low, substantial, high)] == [False, True, True]
    assert low.reaches(low)
    assert high.reaches(high)
    assert not substantial.reaches(high)


@pytest.mark.parametrize(
    "changes",
    [
        {"issued_at": THEN, "expires_at": THEN},
        {"issued_at": THEN, "expires_at": THEN + timedelta(seconds=301)},
        {"subject": "kari"},
        {"session_id": None},
        {"epoch": None},
        {"subject": "system:shop"},
        {"issuer": ""},
        {"rights": frozenset(f"things.right-{n:0>40}" for n in range(199))},
    ],
)
def test_a_token_that_no_service_would_take_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no service would take this token"):
        token(**changes)


def made(
    content: object = None,
    *,
    key: Any = KEY,
    alg: str | None = None,
    whole: dict[str, Any] | None = None,
    **header: Any,
) -> str:
    """Sign any content under any header; what stands in `header` is added to the right one, `...` takes one away."""
    right = {"alg": alg or "Ed25519", "typ": "at+jwt", "kid": "auth-1"} | header
    given = whole if whole is not None else {name: value for name, value in right.items() if value is not ...}
    return signed(given, body() if content is None else content, key, alg or "Ed25519")


def raw(text: str) -> str:
    """Sign claims that are written by hand."""
    return made(text.encode())


PUBLIC = json.dumps(KEY.as_dict(private=False))
RSA = RSAKey.generate_key(2048, {"kid": "auth-1"})
OTHER = signing.new_key("auth-1")


def cut(place: int) -> str:
    return ".".join(part for n, part in enumerate(made().split(".")) if n != place)


def flipped(place: int) -> str:
    parts = made().split(".")
    middle = len(parts[place]) // 2
    parts[place] = parts[place][:middle] + ("A" if parts[place][middle] != "A" else "B") + parts[place][middle + 1 :]
    return ".".join(parts)


def swapped() -> str:
    """The claims of one token under the signature of another."""
    one, other = made().split("."), made(body(rights=["things.write"])).split(".")
    return ".".join((one[0], other[1], one[2]))


def now() -> int:
    return int(time.time())


BROKEN: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "a word": lambda: CANARY,
    "one part": lambda: "..",
    "two parts": lambda: cut(2),
    "four parts": lambda: made() + ".e30",
    "no header": lambda: "." + cut(0),
    "no claims": lambda: made().split(".")[0] + ".." + made().split(".")[2],
    "no signature": lambda: cut(2) + ".",
    "a line break": lambda: made()[:40] + "\t" + made()[40:],
    "padding": lambda: made() + "=",
    "another alphabet": lambda: made() + "+/",
    "too large": lambda: made(body(filler="x" * 8_192)),
    "a byte of the header": lambda: flipped(0),
    "a byte of the claims": lambda: flipped(1),
    "a byte of the signature": lambda: flipped(2),
    "another's claims": swapped,
    "alg none": lambda: f"{encoded({'alg': 'none', 'typ': 'at+jwt', 'kid': 'auth-1'})}.{encoded(body())}.",
    "alg none, signed": lambda: signed({"alg": "none", "typ": "at+jwt", "kid": "auth-1"}, body()),
    "HS256 with the public key": lambda: made(key=OctKey.import_key(PUBLIC), alg="HS256"),
    "RS256": lambda: made(key=RSA, alg="RS256"),
    "ES256 for a key on Ed25519": lambda: made(key=P256, alg="ES256"),
    "EdDSA": lambda: signed({"alg": "EdDSA", "typ": "at+jwt", "kid": "auth-1"}, body()),
    "alg in small letters": lambda: made(whole={"alg": "ed25519", "typ": "at+jwt", "kid": "auth-1"}),
    "no alg": lambda: made(whole={"typ": "at+jwt", "kid": "auth-1"}),
    "typ JWT": lambda: made(typ="JWT"),
    "no typ": lambda: made(typ=...),
    "typ of a request": lambda: made(typ="samband-request"),
    "unknown kid": lambda: made(kid="auth-9"),
    "no kid": lambda: made(kid=...),
    "kid a number": lambda: made(kid=1),
    "kid a path": lambda: made(kid="../../etc/passwd"),
    "kid SQL": lambda: made(kid="' or 1=1 --"),
    "another key of the same kid": lambda: made(key=OTHER),
    "key in the header": lambda: made(key=OTHER, jwk=OTHER.as_dict(private=False)),
    "address of a key": lambda: made(jku="https://example.no/keys"),
    "certificates": lambda: made(x5c=["MII"]),
    "crit": lambda: made(crit=["exp"]),
    "b64": lambda: made(b64=False, crit=["b64"]),
    "zip": lambda: made(zip="DEF"),
    "header a list": lambda: signed([], body()),
    "header deep": lambda: signed(b"[" * 2_000, body()),
    "header with a name twice": lambda: signed(b'{"alg":"none","alg":"Ed25519","typ":"at+jwt","kid":"auth-1"}', body()),
    "claims no JSON": lambda: raw("{"),
    "claims not UTF-8": lambda: made(b"\xff\xfe{"),
    "claims a list": lambda: made([]),
    "claims deep": lambda: raw("[" * 2_000),
    "claims with a name twice": lambda: raw(json.dumps(body())[:-1] + ', "aud": "things"}'),
    "claims with NaN": lambda: raw(json.dumps(body(other=float("nan")))),
    "another issuer": lambda: made(body(iss="https://auth.example.com")),
    "no issuer": lambda: made(body(iss=...)),
    "for another service": lambda: made(body(aud="cases")),
    "for several": lambda: made(body(aud=["things", "cases"])),
    "for nobody": lambda: made(body(aud=...)),
    "expired": lambda: made(body(iat=now() - 120, exp=now() - 60)),
    "expired right now": lambda: made(body(iat=now() - 60, exp=now())),
    "no exp": lambda: made(body(exp=...)),
    "exp text": lambda: made(body(exp=str(now() + 60))),
    "exp a fraction": lambda: made(body(exp=now() + 60.5)),
    "exp true": lambda: made(body(exp=True)),
    "exp null": lambda: made(body(exp=None)),
    "exp beyond the calendar": lambda: made(body(exp=10**18)),
    "life too long": lambda: made(body(exp=now() + 3_600)),
    "life backwards": lambda: made(body(iat=now() + 50, exp=now() + 40)),
    "no iat": lambda: made(body(iat=...)),
    "iat ahead": lambda: made(body(iat=now() + 100, exp=now() + 160)),
    "iat negative": lambda: made(body(iat=-1)),
    "no sub": lambda: made(body(sub=...)),
    "sub a word": lambda: made(body(sub="kari")),
    "sub a list": lambda: made(body(sub=[str(uuid4())])),
    "sub with more behind it": lambda: made(body(sub=f"{uuid4()}\n")),
    "a system in a session": lambda: made(body(sub="system:shop")),
    "a person in no session": lambda: made(body(sid=...)),
    "a person without epoch": lambda: made(body(epoch=...)),
    "epoch text": lambda: made(body(epoch="1")),
    "sid no id": lambda: made(body(sid="1")),
    "org no id": lambda: made(body(org="*")),
    "rights text": lambda: made(body(rights="things.read")),
    "rights numbers": lambda: made(body(rights=[1])),
    "acr unknown": lambda: made(body(acr="highest")),
    "acr a number": lambda: made(body(acr=3)),
    "terms a list": lambda: made(body(terms=["privacy"])),
    "no jti": lambda: made(body(jti=...)),
}
assert len(BROKEN) >= 40


def app() -> Any:
    routes = APIRouter()

    @routes.get("/things", dependencies=[access.needs(right="things.read")])
    async def list_things() -> list[str]:
        return []

    return http.create_app(title="things", version="1", routers=[routes], authenticator=bearer())


@pytest.mark.goal("sec-A11")
@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_token_is_answered_401_and_nothing_of_it_is_told(name: str) -> None:
    broken = BROKEN[name]()
    with pytest.raises(BadToken):
        verifier().verify(broken)
    async with client_of(app()) as client:
        with logged() as lines:
            answer = await client.get("/things", headers=[(b"authorization", f"Bearer {broken}".encode("latin-1"))])
    assert answer.status_code == httpx2.codes.UNAUTHORIZED
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.headers["content-type"] == "application/problem+json"
    told = repr(lines) + answer.text
    assert "Traceback" not in told
    assert CANARY not in told
    assert all(part not in told for part in broken.split(".") if len(part) > 8)
    assert [line["event"] for line in lines] == ["token_refused", "http_answered"]


@pytest.mark.goal("sec-A11")
async def test_the_token_that_the_broken_ones_are_made_from_is_good() -> None:
    async with client_of(app()) as client:
        for good in (
            made(),
            made(body(a_claim_of_a_later_release=[1])),
            made(body(org=str(uuid4()), terms={"a": "1"})),
        ):
            assert (await client.get("/things", headers=carried(good))).status_code == httpx2.codes.OK


@pytest.mark.goal("sec-A11")
async def test_no_token_or_another_scheme_or_two_is_answered_401() -> None:
    async with client_of(app()) as client:
        for headers, challenge in (
            ([], "Bearer"),
            ([("Authorization", "Basic a2FyaTprYXJp")], "Bearer"),
            ([("Authorization", made())], "Bearer"),
            ([("Authorization", f"Bearer {made()}")] * 2, 'Bearer error="invalid_token"'),
        ):
            answer = await client.get("/things", headers=headers)
            assert answer.status_code == httpx2.codes.UNAUTHORIZED
            assert answer.headers["www-authenticate"] == challenge


def test_a_token_that_is_remembered_is_refused_once_it_has_expired_and_is_forgotten() -> None:
    known = verifier()
    now = datetime.now(UTC)
    short = token(issued_at=now - timedelta(seconds=58), expires_at=now + timedelta(seconds=2))
    assert known.verify(short) == known.verify(short)
    assert list(known._known) == [short]
    with pytest.raises(BadToken, match="expired"):
        while time.time() < now.timestamp() + 4:
            known.verify(short)
    assert known._known == {}


def test_only_so_many_tokens_are_remembered_and_none_that_is_broken() -> None:
    known = verifier(kept=3)
    several = [token() for _ in range(5)]
    for each in several:
        known.verify(each)
    assert list(known._known) == several[2:]
    for make in BROKEN.values():
        with pytest.raises(BadToken):
            known.verify(make())
    assert list(known._known) == several[2:]
    assert verifier(kept=0).verify(several[0]).audience == "things"


def test_the_clock_of_the_issuer_may_be_ahead_by_the_skew_and_no_more() -> None:
    now = datetime.now(UTC)
    ahead = token(issued_at=now + timedelta(seconds=30), expires_at=now + timedelta(seconds=90))
    assert verifier(clock_skew=40).verify(ahead).audience == "things"
    with pytest.raises(BadToken, match="from the future"):
        verifier(clock_skew=10).verify(ahead)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not a JWK Set"),
        ("[]", "is not a JWK Set"),
        ("{}", "is not a JWK Set"),
        ('{"keys": []}', "holds no key"),
        ('{"keys": {}}', "holds no key"),
        ('{"keys": ["a"]}', "holds a key that is no JWK"),
        ('{"keys": [{"kty": "what"}]}', "holds a key that is no JWK"),
        (json.dumps({"keys": [KEY.as_dict(private=True)]}), "must be a public Ed25519 or P-256 key"),
        (json.dumps({"keys": [KEY.as_dict(private=False)] * 2}), "with its own `kid`"),
        pytest.param(
            json.dumps({"keys": [OctKey.generate_key(256, {"kid": "x"}).as_dict()]}),
            "must be a public Ed25519",
            id="a secret of chance",  # In the test's name each worker would have another one.
        ),
        (json.dumps({"keys": [RSA.as_dict(private=False)]}), "must be a public Ed25519"),
        (json.dumps({"keys": [OKPKey.generate_key("Ed448", {"kid": "x"}).as_dict(private=False)]}), "must be a public"),
        (json.dumps({"keys": [ECKey.generate_key("P-384", {"kid": "x"}).as_dict(private=False)]}), "must be a public"),
    ],
)
def test_a_key_set_that_is_not_right_is_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(Misconfigured) as refused:
        tokens.read_keys(path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_key_set_is_read_by_kid_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    assert list(tokens.read_keys(key_file(tmp_path, KEY, P256))) == ["auth-1", "auth-2"]
    with pytest.raises(Misconfigured, match=r"none\.json cannot be read"):
        tokens.read_keys(tmp_path / "none.json")


def test_what_auth_signs_on_the_local_stack_is_good_there(tmp_path: Path) -> None:
    public, private = keysets.make_tokens(tmp_path)
    (key,) = json.loads(private.read_text())["keys"]
    alone = tmp_path / "key.json"
    alone.write_text(json.dumps(key))
    said = claims()
    known = tokens.Verifier(tokens.read_keys(public), issuer=said.issuer, audience=said.audience)
    assert known.verify(tokens.sign(said, signing.read_key(alone))) == said
