"""Client credentials: a system proves by its own key which one it is, once for each proof, and gets what its file allows."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from chassis import signing
from chassis.signing import ALGORITHMS, Key
from chassis.systems import ANY, System, Systems
from services.auth.sessions.token_api import BEARER_ASSERTION
from tests.auth.sessions.test_access_tokens import read
from tests.auth.sessions.test_refresh_tokens import declined
from tests.auth.world import ISSUER, Browser, Owner, World

KEY, OTHER, CURVED = signing.new_key("shop-1"), signing.new_key("bank-1"), signing.new_key("shop-2", "P-256")
ORGANISATION, ANOTHER = uuid4(), uuid4()
RIGHTS = frozenset({"cases.report-cases", "unionfees.use-portal"})
SHOP = System("shop", {"shop-1": KEY, "shop-2": CURVED}, organisations=frozenset({ORGANISATION}), rights=RIGHTS)
BANK = System("bank", {"bank-1": OTHER}, organisations=frozenset({ANY}), rights=RIGHTS)


@pytest.fixture
def world(world: World) -> World:
    """Give a world in which auth knows two systems."""
    world.database.identity = replace(world.database.identity, systems=Systems({"shop": SHOP, "bank": BANK}))
    return world


def claims(**changes: Any) -> dict[str, Any]:
    right = {"iss": "shop", "sub": "shop", "aud": ISSUER, "exp": int(time.time()) + 60, "jti": str(uuid4())}
    return {name: value for name, value in (right | changes).items() if value is not None}


def assertion(key: Key = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    said = {"alg": ALGORITHMS[str(key.curve_name)], "kid": key.kid, "typ": "JWT"} | (header or {})
    said = {name: value for name, value in said.items() if value is not None}
    return signed(said, json.dumps(claims(**changes)).encode(), key)


def signed(header: dict[str, Any], content: bytes, key: Key) -> str:
    """Sign whatever it is, as the library would not."""
    first = f"{encoded(json.dumps(header).encode())}.{encoded(content)}"
    own = {"alg": ALGORITHMS[str(key.curve_name)]}
    algorithm = jws.JWSRegistry(algorithms=list(ALGORITHMS.values())).get_alg(own["alg"])
    return f"{first}.{encoded(algorithm.sign(first.encode(), key))}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def sign_in(world: World, proof: str, **changes: Any) -> httpx2.Response:
    return await signed_in_at(world.browser(), proof, **changes)


async def signed_in_at(browser: Browser, proof: str, audience: str = "cases", **changes: Any) -> httpx2.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": BEARER_ASSERTION,
        "client_assertion": proof,
        "audience": audience,
        "organisation_id": str(ORGANISATION),
    } | changes
    given = {name: value for name, value in form.items() if value is not None}
    return await browser.send("POST", "/v1/oauth/token", data=given)


@pytest.mark.parametrize(
    ("proof", "also"),
    [
        (assertion, {}),
        (lambda: assertion(CURVED), {}),
        (lambda: assertion(aud=[f"{ISSUER}/v1/oauth/token"]), {}),
        (lambda: assertion(header={"typ": "client-authentication+jwt"}, nonce="x", iat=1), {"client_id": "shop"}),
        (lambda: assertion(nbf=int(time.time()) + 30), {}),
        (lambda: assertion(header={"typ": None}), {"scope": "all", "resource": ""}),
    ],
)
async def test_a_system_gets_its_rights_in_that_service_alone(
    world: World, proof: Callable[[], str], also: dict[str, str]
) -> None:
    answer = await sign_in(world, proof(), **also)
    given = answer.json()
    found = read(world, given["access_token"], "cases")
    assert (answer.status_code, set(given)) == (200, {"access_token", "token_type", "expires_in"})
    assert (found.system, found.client_id, found.account_id) == ("shop", "shop", None)
    assert (found.rights, found.organisation_id) == (frozenset({"cases.report-cases"}), ORGANISATION)
    assert (found.session_id, found.epoch, found.terms) == (None, None, {})


@pytest.mark.parametrize(
    ("key", "name", "organisation", "status"),
    [
        (KEY, "shop", str(ANOTHER), 400),
        (KEY, "shop", None, 400),
        (OTHER, "bank", str(ANOTHER), 200),
        (OTHER, "bank", None, 200),
    ],
    ids=["another, by one's", "none, by one's", "another, by all's", "none, by all's"],
)
async def test_a_system_acts_for_its_own_organisations_alone(
    world: World, key: Key, name: str, organisation: str | None, status: int
) -> None:
    answer = await sign_in(world, assertion(key, iss=name, sub=name), organisation_id=organisation)
    assert answer.status_code == status
    if status == 400:
        assert declined(answer) == (400, "invalid_target")
    else:
        named = read(world, answer.json()["access_token"], "cases").organisation_id
        assert named == (UUID(organisation) if organisation else None)


async def test_a_proof_is_taken_once_whoever_brings_it_at_the_same_time(world: World) -> None:
    proof, shop = assertion(), world.browser()
    answers = await asyncio.gather(*(signed_in_at(shop, proof) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 49}
    assert {declined(answer) for answer in answers if answer.status_code == 401} == {(401, "invalid_client")}


async def test_two_systems_may_give_their_proofs_one_name(world: World) -> None:
    answers = [
        await sign_in(world, assertion(key, iss=name, sub=name, jti="1"))
        for key, name in ((KEY, "shop"), (OTHER, "bank"))
    ]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_proof_is_good_up_to_five_minutes_ahead_and_as_far_as_clocks_differ(world: World) -> None:
    ends = (-1, 30, 355, 390)  # The third and the last are far enough from 360 for a slow machine.
    found = [(await sign_in(world, assertion(exp=int(time.time()) + ahead))).status_code for ahead in ends]
    assert found == [401, 200, 200, 401]


def flipped(text: str) -> str:
    header, body, signature = text.split(".")
    return f"{header}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def with_content(text: str, **changes: Any) -> str:
    """Change what a signed text says, and leave its signature."""
    header, _, signature = text.split(".")
    return f"{header}.{encoded(json.dumps(claims(**changes)).encode())}.{signature}"


def by_hmac() -> str:
    key = OctKey.import_key({"kty": "oct", "k": encoded(json.dumps(KEY.as_dict(private=False)).encode())})
    return jws.serialize_compact({"alg": "HS256", "kid": "shop-1"}, json.dumps(claims()), key)


HEADER = {"alg": "Ed25519", "kid": "shop-1"}
FORTY: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "no JWS": lambda: "x",
    "two parts": lambda: "e30.e30",
    "four parts": lambda: assertion() + ".e30",
    "JSON serialisation": lambda: json.dumps({"payload": encoded(json.dumps(claims()).encode()), "signatures": []}),
    "not base64url": lambda: assertion().replace(".", ".+", 1),
    "padded": lambda: assertion() + "=",
    "a line break": lambda: assertion() + "\n",
    "too large": lambda: assertion(more="x" * 9_000),
    "no signature": lambda: assertion().rpartition(".")[0] + ".",
    "another signature": lambda: flipped(assertion()),
    "content changed": lambda: with_content(assertion()),
    "alg none": lambda: (
        f"{encoded(json.dumps(HEADER | {'alg': 'none'}).encode())}.{encoded(json.dumps(claims()).encode())}.AA"
    ),
    "alg of another curve": lambda: assertion(header={"alg": "ES256"}),
    "alg EdDSA": lambda: assertion(header={"alg": "EdDSA"}),
    "alg HS256 under our public key": by_hmac,
    "alg missing": lambda: assertion(header={"alg": None}),
    "alg a number": lambda: assertion(header={"alg": 7}),
    "kid missing": lambda: assertion(header={"kid": None}),
    "kid unknown": lambda: assertion(header={"kid": "shop-3"}),
    "kid of another system": lambda: assertion(OTHER),
    "kid a list": lambda: assertion(header={"kid": ["shop-1"]}),
    "key of another under our kid": lambda: assertion(OTHER, header={"kid": "shop-1"}),
    "typ of an access token": lambda: assertion(header={"typ": "at+jwt"}),
    "typ a list": lambda: assertion(header={"typ": ["JWT"]}),
    "crit": lambda: assertion(header={"crit": ["exp"]}),
    "b64": lambda: assertion(header={"b64": False}),
    "jwk": lambda: assertion(header={"jwk": dict(KEY.as_dict(private=False))}),
    "jku": lambda: assertion(header={"jku": "https://example.no/keys"}),
    "x5u": lambda: assertion(header={"x5u": "https://example.no/chain"}),
    "header no object": lambda: f"{encoded(b'[]')}.{encoded(json.dumps(claims()).encode())}.AA",
    "header not JSON": lambda: f"{encoded(b'{')}.{encoded(json.dumps(claims()).encode())}.AA",
    "claims no object": lambda: signed(HEADER, b"[]", KEY),
    "claims not JSON": lambda: signed(HEADER, b"{", KEY),
    "claims deep": lambda: signed(HEADER, b"[" * 5_000, KEY),
    "a claim twice": lambda: signed(HEADER, json.dumps(claims()).encode().replace(b"{", b'{"sub": "bank", ', 1), KEY),
    "iss missing": lambda: assertion(iss=None),
    "iss another": lambda: assertion(iss="bank"),
    "sub missing": lambda: assertion(sub=None),
    "sub another": lambda: assertion(sub="bank"),
    "both another's": lambda: assertion(iss="bank", sub="bank"),
    "both unknown": lambda: assertion(iss="nobody", sub="nobody"),
    "both empty": lambda: assertion(iss="", sub=""),
    "aud missing": lambda: assertion(aud=None),
    "aud another": lambda: assertion(aud="https://other.example.no"),
    "aud two": lambda: assertion(aud=[ISSUER, "https://other.example.no"]),
    "aud none": lambda: assertion(aud=[]),
    "aud a number": lambda: assertion(aud=7),
    "exp missing": lambda: assertion(exp=None),
    "exp past": lambda: assertion(exp=int(time.time()) - 1),
    "exp far ahead": lambda: assertion(exp=int(time.time()) + 3_600),
    "exp beyond the calendar": lambda: assertion(exp=2**62),
    "exp negative": lambda: assertion(exp=-1),
    "exp a text": lambda: assertion(exp=str(int(time.time()) + 60)),
    "exp a fraction": lambda: assertion(exp=time.time() + 60.5),
    "exp infinite": lambda: signed(HEADER, json.dumps(claims(exp=float("inf"))).encode(), KEY),
    "nbf ahead": lambda: assertion(exp=int(time.time()) + 300, nbf=int(time.time()) + 90),
    "nbf beyond the calendar": lambda: assertion(nbf=2**62),
    "nbf a text": lambda: assertion(nbf="0"),
    "jti missing": lambda: assertion(jti=None),
    "jti empty": lambda: assertion(jti=""),
    "jti too long": lambda: assertion(jti="x" * 256),
    "jti a number": lambda: assertion(jti=7),
    "jti with NUL": lambda: assertion(jti="a\0b"),
    "an access token's shape": lambda: assertion(header={"typ": "at+jwt"}, client_id="shop", acr="low"),
}


def test_there_are_forty_at_least() -> None:
    assert len(FORTY) >= 40


@pytest.mark.goal("sec-A11")
async def test_forty_proofs_that_prove_nothing_are_declined_alike(world: World, owner: Owner) -> None:
    told, shop = set(), world.browser()
    for name, proof in FORTY.items():
        answer = await signed_in_at(shop, proof())
        status = 400 if name == "too large" else 401
        assert (name, answer.status_code) == (name, status)
        assert "traceback" not in answer.text.lower()
        told.add((answer.status_code, answer.text, answer.headers.get("www-authenticate")))
    assert len([each for each in told if each[0] == 401]) == 1
    assert await owner.fetchval("select count(*) from auth.client_assertions") == 0


async def test_a_proof_of_another_than_the_named_client_is_none(world: World) -> None:
    assert declined(await sign_in(world, assertion(), client_id="bank")) == (401, "invalid_client")


async def test_a_proof_of_another_kind_is_none(world: World) -> None:
    answer = await sign_in(
        world, assertion(), client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
    )
    assert declined(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "invalid_request"),
        (b"grant_type", "invalid_request"),
        (b"grant_type=client_credentials", "invalid_request"),
        (b"grant_type=client_credentials&audience=", "invalid_request"),
        (b"grant_type=client_credentials&audience=cases&audience=cases", "invalid_request"),
        (b"grant_type=client_credentials&audience=cases&organisation_id=7", "invalid_request"),
        (b"grant_type=client_credentials&audience=cases&a=%00", "invalid_request"),
        (b"grant_type=client_credentials&audience=cases&a=%ff", "invalid_request"),
        (b"grant_type=client_credentials&audience=cases&a=\xff", "invalid_request"),
        (b"&".join(b"a%d=1" % n for n in range(30)), "invalid_request"),
        (b"grant_type=password&audience=cases", "unsupported_grant_type"),
        (b"grant_type=authorization_code&audience=cases", "unsupported_grant_type"),
        (b"grant_type=refresh_token&audience=cases", "invalid_grant"),
    ],
)
async def test_a_form_that_asks_for_nothing_that_is_given_is_declined_in_oauth_s_words(
    world: World, content: bytes, error: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await world.browser().send("POST", "/v1/oauth/token", content=content, headers=headers)
    assert declined(answer) == (400, error)


@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [
        ("/v1/oauth/token", "application/json", 415),
        ("/v1/oauth/token", "multipart/form-data; boundary=x", 415),
        ("/v1/oauth/token", None, 415),
        ("/v1/oauth/token", "application/x-www-form-urlencoded; charset=latin-1", 415),
        ("/v1/login-codes", "application/x-www-form-urlencoded", 415),
    ],
)
async def test_forms_are_taken_there_and_nowhere_else(
    world: World, path: str, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await world.browser().send("POST", path, content=b"a=1", headers=headers)
    assert answer.status_code == status


async def test_a_form_that_is_too_large_is_not_read(world: World) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await world.browser().send("POST", "/v1/oauth/token", content=b"a=" + b"x" * 70_000, headers=headers)
    assert answer.status_code == 413


async def test_proofs_are_forgotten_when_no_transaction_can_take_them_again(world: World, owner: Owner) -> None:
    from services.auth.sessions import store

    assert (await sign_in(world, assertion())).status_code == 200
    for seconds, left in ((-60, 1), (240, 1), (301, 0)):
        await owner.execute(
            "update auth.client_assertions set expires_at = now() - make_interval(secs => $1)", float(seconds)
        )
        async with world.database.transaction() as conn:
            await store.prune(conn, 100)
        assert await owner.fetchval("select count(*) from auth.client_assertions") == left
