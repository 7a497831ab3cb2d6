"""Every parser and decoder of the product: what it may be given, what it may raise, and what holds of what it gives."""

import argparse
import asyncio
import base64
import ipaddress
import json
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiokafka import ConsumerRecord
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from hypothesis import strategies as st
from joserfc.jwk import KeySet
from pydantic import SecretStr, ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from chassis import (
    bodies,
    handlers,
    http,
    idempotency,
    requests,
    sealing,
    settings,
    signing,
    strict_json,
    texts,
    tokens,
    tracing,
)
from chassis.arrival import ATTRIBUTES, Arrival, Broken, read_envelope
from chassis.commands import command
from chassis.errors import Misconfigured
from chassis.idempotency import IdempotencyKeyNeedsCaller, IdempotencyKeyUnreadable
from chassis.sealing import CannotOpen, Keyring, Place
from chassis.signing import NotProven
from chassis.strict_json import NotAnObject
from chassis.systems import System, Systems
from chassis.texts import CatalogueError, Language, Texts
from chassis.tokens import Assurance, BadToken
from contracts import catalogue, compatibility, message, privacy
from contracts.message import Envelope
from contracts.requests import SIGNATURE, SOURCE
from services.auth import cursors
from services.auth.errors import WrongCursor
from services.auth.identities import numbers as identity_numbers
from services.auth.identities.errors import WrongIdentityNumber
from services.auth.identities.vault import NotOurs, Vault
from services.auth.identities.vault import new_key as new_vault_key
from services.auth.identity_links import commands as identity_link_commands
from services.auth.identity_links import links
from services.auth.identity_links.errors import WrongMobile
from services.auth.identity_providers import discovery, id_tokens, profiles
from services.auth.identity_providers.errors import LogInFailed, ProviderDistrusted
from services.auth.identity_providers.id_tokens import Expected
from services.auth.identity_providers.profiles import Profile, Provider, Providers
from services.auth.keys import Keys
from services.auth.limits import Limits
from services.auth.organisations import numbers, organisations
from services.auth.organisations.errors import WrongNumber, WrongOrganisationName
from services.auth.passwords import policy
from services.auth.people import accounts, addresses, names, user_names
from services.auth.people.errors import WrongAddress, WrongLanguage, WrongName, WrongUserName
from services.auth.sessions import assertions, refresh_tokens, token_keys
from services.auth.sessions.errors import RefreshRefused, UnreadableForm
from services.auth.sessions.token_api import TokenForm, parse_form
from services.auth.settings import AuthSettings
from services.notifications.settings import NotificationsSettings
from tests.support import tickets

NEVER: tuple[type[Exception], ...] = ()


def _anything(_: Any, __: Any) -> None:
    """Ask nothing of what is given back."""


@dataclass(frozen=True, slots=True)
class Parser:
    """One way in: `raises` is all that its docstring allows; `holds` is asked of what was given and what came back."""

    call: Callable[[Any], Any]
    given: st.SearchStrategy[Any]
    raises: tuple[type[Exception], ...] = NEVER
    holds: Callable[[Any, Any], None] = field(default=_anything)


def _is_trimmed(_: Any, found: str) -> None:
    assert found == " ".join(found.split())
    assert found


# ── what comes ──

_LATIN = st.text(st.characters(max_codepoint=255), max_size=40)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
_NAMES = st.sampled_from(["keys", "kty", "crv", "x", "y", "d", "kid", "use", "alg", "requests", "organisations"])
JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)
_KEY = st.fixed_dictionaries(
    {},
    optional={
        "kty": st.sampled_from(["EC", "OKP", "RSA", "oct", None, 1]),
        "crv": st.sampled_from(["P-256", "P-521", "Ed25519", "X25519", None]),
        "x": st.sampled_from(["MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "AA", "", None]),
        "y": st.sampled_from(["4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "AA", "", None]),
        "d": st.sampled_from(["870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE", "AA", None]),
        "kid": st.sampled_from(["a", "", None, 7]),
        "use": st.sampled_from(["sig", "enc", None]),
    },
)
_DEEP = st.sampled_from([b"[", b'{"keys":[', b"1"]).map(lambda start: start + start[-1:] * 100_000)
CURSORS = st.text() | JSON.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("="))
CONFIGURED = (
    st.fixed_dictionaries(
        {"keys": st.lists(_KEY | JSON, max_size=3) | JSON}, optional={"requests": JSON, "organisations": JSON}
    )
    .map(json.dumps)
    .map(str.encode)
    | JSON.map(json.dumps).map(str.encode)
    | st.binary(max_size=60)
    | _DEEP
)

_HEADER = st.sampled_from(["ce_specversion", SIGNATURE, "traceparent", *(f"ce_{name}" for name in ATTRIBUTES)])
_VALUE = (
    st.binary(max_size=40)
    | st.text(max_size=40).map(str.encode)
    | st.sampled_from([b"1.0", b"auth.AccountChanged.v1", b"2026-11-24T12:00:00Z", b"0001-01-01T00:00:00+14:00"])
)
HEADERS = st.lists(st.tuples(_HEADER | st.text(max_size=12), _VALUE), max_size=12)
RECORDS = st.builds(
    lambda key, value, headers: ConsumerRecord("site.t", 2, 7, 0, 0, key, value, None, 0, 0, headers),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode),
    HEADERS,
)
_WHOLE = {"ce_specversion": b"1.0", "ce_id": b"0", "ce_source": f"{SOURCE}member".encode(), "ce_type": b"auth.X.v1"}
_WHOLE |= {"ce_subject": b"s", "ce_time": b"2026-11-24T12:00:00Z"}
REQUESTS = st.builds(
    lambda record, token: Arrival.of(
        ConsumerRecord("t", 0, 0, 0, 0, None, record, None, 0, 0, [*_WHOLE.items(), (SIGNATURE, token)])
    ),
    st.none() | st.binary(max_size=30),
    st.binary(max_size=100)
    | JSON.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=") + b"..AAAA"),
)
_MODELS = st.sampled_from(catalogue.messages())
VALUES = _MODELS.flatmap(
    lambda model: st.tuples(
        st.just(model),
        st.dictionaries(st.sampled_from([*model.model_fields, "else"]), JSON).map(json.dumps).map(str.encode)
        | st.none()
        | st.binary(max_size=40)
        | _DEEP,
    )
)
_CLAIM = st.sampled_from(["iss", "aud", "sub", "iat", "exp", "jti", "sid", "epoch", "org", "rights", "acr", "terms"])
_CLAIMS = (
    st.dictionaries(_CLAIM, JSON).map(lambda changes: json.dumps(tickets.body() | changes).encode())
    | JSON.map(json.dumps).map(str.encode)
    | st.binary(max_size=60)
    | _DEEP.map(lambda content: content[:4_000])
)
_HEAD = st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "jwk"]), JSON).map(
    lambda changes: {"alg": "Ed25519", "typ": "at+jwt", "kid": "auth-1"} | changes
)
TOKENS = (
    st.text()
    | st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join)
    | st.builds(tickets.signed, _HEAD.map(json.dumps).map(str.encode) | st.binary(max_size=40), _CLAIMS)
)
FORMS = (
    st.dictionaries(st.sampled_from([*TokenForm.model_fields, "else"]), st.text(max_size=40))
    .map(urlencode)
    .map(str.encode)
    | st.binary(max_size=60)
    | st.text("&=%+a0", max_size=30).map(str.encode)
)
_ASSERTED = st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "jti", "nbf"]), JSON).map(
    lambda changes: {"iss": "member", "sub": "member", "aud": "us", "exp": 1, "jti": "1"} | changes
)
_ASSERTING = st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "jwk"]), JSON).map(
    lambda changes: {"alg": "Ed25519", "kid": "member-1"} | changes
)
ASSERTIONS = (
    st.text()
    | st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join)
    | st.tuples(_ASSERTING, _ASSERTED).map(
        lambda said: ".".join(
            [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().strip("=") for part in said), "AA"]
        )
    )
)
VAULT = Vault(KeySet([new_vault_key("identities-1")]))
_CLOSED = VAULT.close("number", UUID(int=2), "01819010192")
SEALED_OR_NOT = st.integers(0, len(_CLOSED)).flatmap(
    lambda place: st.text(max_size=3).map(lambda between: _CLOSED[:place] + between + _CLOSED[place + 1 :])
)
_ISSUER = "https://provider.example.no"
PROFILE: dict[str, Any] = {
    "issuer": _ISSUER,
    "client_id": "samband",
    "titles": {"nb": "a", "nn": "b", "en": "c"},
    "authentication": "client_secret_post",
    "secret": "secret.txt",
    "assurance": {"high": "high"},
}
PROVIDER = Provider("provider", Profile.model_validate(PROFILE))
PROFILES = st.dictionaries(st.sampled_from([*Profile.model_fields]), JSON, max_size=5).map(lambda said: PROFILE | said)
DISCOVERED = st.fixed_dictionaries(
    {},
    optional={
        "issuer": st.just(_ISSUER) | JSON,
        **dict.fromkeys(
            ["authorization_endpoint", "token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint"],
            st.just(f"{_ISSUER}/a") | st.text(max_size=20) | JSON,
        ),
        "end_session_endpoint": JSON,
    },
)
_FAMILY = "01980a3e-7c41-7d3a-9c0f-000000000001"
REFRESHING = st.text() | st.text(max_size=43).map(f"{_FAMILY}.1.{{}}".format) | st.just(f"{_FAMILY}.1.{'A' * 43}")
_CONTENT = st.sampled_from(
    [bodies.FORM, "application/json", "application/json; charset=latin-1", "multipart/form-data", "text/x"]
)
SENT = st.tuples(
    st.lists(
        st.tuples(st.just("content-type"), _CONTENT | _LATIN)
        | st.tuples(st.just("content-length"), st.integers(-1, 10**20).map(str) | _LATIN)
        | st.tuples(st.sampled_from(["content-encoding", "idempotency-key", "forwarded"]), _LATIN),
        max_size=4,
    ),
    st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode) | _DEEP,
)
MOMENTS = (
    st.text(max_size=30)
    | st.from_regex(r"[0-9]{1,12}[mhd]", fullmatch=True)
    | st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?([+-][0-9]{2}:[0-9]{2}|Z)?", fullmatch=True
    )
    | st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat)
    | st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
)
_ENVIRONMENT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20
) | st.sampled_from(
    [
        "{",
        "[1",
        "{}",
        "null",
        "NaN",
        "1e999",
        "true",
        '["::1/129"]',
        '{"10.0.0.0/8": "x"}',
        "postgresql://[",
        "postgresql://h:x/d",
    ]
)
_LINES = st.sampled_from("""
msgid ""|msgstr ""|msgid "a"|msgstr "b %(c)s"|msgid_plural "as"|msgstr[0] "x"|msgstr[5] "x"|#, fuzzy|#~ msgid "z"|msgctxt "c"
"\\q"|"Plural-Forms: nplurals=x; plural=(n !=;\\n"|"Content-Type: text/plain; charset=none\\n"|"PO-Revision-Date: never\\n"
""".replace("\n", "|").split("|"))  # fmt: skip
CATALOGUES = st.lists(_LINES, max_size=12).map("\n".join).map(str.encode) | st.binary(max_size=60)
SCHEMAS = st.sampled_from([model.model_json_schema() for model in catalogue.messages()])

# ── how it is given ──

KEY = signing.new_key("member-1")
SYSTEM = System("member", {"member-1": KEY})
SYSTEMS = Systems({"member": SYSTEM})
_OPENER = sealing.new_key("a-1")
KEYRING = Keyring("a", {}, KeySet([_OPENER]))
PLACE = Place("0", "a.Thing.v1", "code")


@contextmanager
def _written(name: str, content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def _load_keyring(content: bytes) -> Keyring:
    with _written("a.json", content) as path:
        return Keyring.load("a", path.parent, path)


def _read_key(content: bytes) -> signing.Key:
    with _written("key.json", content) as path:
        return signing.read_key(path)


def _read_token_keys(content: bytes) -> Mapping[str, signing.Key]:
    with _written("tokens.json", content) as path:
        return tokens.read_keys(path)


def _load_systems(content: bytes) -> Systems:
    with _written("member.json", content) as path:
        return Systems.load(path.parent)


def _load_texts(content: bytes) -> Texts:
    with _written("nb.po", content) as path:
        (path.parent / "nn.po").write_bytes(content)
        return Texts(path.parent)


def _read_settings(given: tuple[type[settings.ServiceSettings], Mapping[str, str]]) -> settings.ServiceSettings:
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(settings.PREFIX)]:
        del os.environ[name]
    os.environ.update(given[1])
    try:
        return settings.read(given[0], "service")
    finally:
        os.environ.clear()
        os.environ.update(before)


def _environments(model: type[settings.ServiceSettings]) -> st.SearchStrategy[Any]:
    names = st.sampled_from([settings.PREFIX + name.upper() for name in model.model_fields])
    return st.tuples(st.just(model), st.dictionaries(names, _ENVIRONMENT, max_size=8))


def _request(headers: list[tuple[str, str]], body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": raw}
    return Request(scope | {"client": ("192.0.2.1", 4000)}, receive)


def _admit(given: tuple[list[tuple[str, str]], bytes]) -> object:
    request = _request(*given)
    admitted = bodies.admit(Headers(scope=request.scope), request.receive, largest=10_000, content_types=["text/x"])
    return asyncio.run(admitted)


def _admit_octets(given: tuple[list[tuple[str, str]], bytes]) -> object:
    request = _request(*given)
    return bodies.admit_octets(Headers(scope=request.scope), request.receive, largest=10_000)


def _admit_form(given: tuple[list[tuple[str, str]], bytes]) -> object:
    request = _request(*given)
    return asyncio.run(bodies.admit_form(Headers(scope=request.scope), request.receive, largest=10_000))


def _load_vault(content: bytes) -> Vault:
    with _written("identities.json", content) as path:
        return Vault.load(path)


def _load_providers(content: bytes) -> list[Provider]:
    with _written("provider.json", content) as path:
        return [*Providers.load(path.parent)]


def _read_private(content: bytes) -> list[signing.Key]:
    with _written("tokens.json", content) as path:
        return token_keys.read_private(path)


def _key_of(given: tuple[list[tuple[str, str]], bytes]) -> object:
    return asyncio.run(idempotency.key_of(_request(*given), "caller"))


def _client_address(given: tuple[list[tuple[str, str]], bytes]) -> str:
    return http.client_address(_request(*given), [ipaddress.ip_network("192.0.2.0/24")])


def _read_value(given: tuple[type[message.Message], bytes | None]) -> message.Message:
    return handlers.read(given[0], Arrival("t", 0, 0, None, given[1], ()))


# ── what holds ──


def _says_envelope_or_fault(_: Any, arrival: Arrival) -> None:
    assert (arrival.envelope is None) is (arrival.fault is not None)
    assert Arrival.unpack(arrival.pack()) == arrival


def _is_utc(_: Any, found: datetime) -> None:
    assert found.tzinfo is UTC


def _fits_a_bigint(_: Any, found: int) -> None:
    assert 1 <= found < 2**63


def _is_json_that_postgres_keeps(body: bytes, _: None) -> None:
    text = json.dumps(json.loads(body), allow_nan=False, ensure_ascii=False)
    assert "\0" not in text.encode().decode()


def _stays_as_it_is(_: str, address: str) -> None:
    assert addresses.normalise(address) == address


def _is_in_nfc(_: str, password: str) -> None:
    assert unicodedata.is_normalized("NFC", password)


def _is_its_own_key(_: str, key: str) -> None:
    assert user_names.key_of(key) == key
    assert "@" not in key


def _reads_as_itself(_: str, login: str) -> None:
    assert user_names.read_login(login) == login


def _is_a_traceparent_or_none(_: Any, found: str | None) -> None:
    assert found is None or tracing.TRACEPARENT.fullmatch(found)


def _is_an_address(_: Any, found: str) -> None:
    ipaddress.ip_address(found)


def _is_none_or_ours(_: str, found: System | None) -> None:
    assert found is None or found is SYSTEM


def _is_a_language(_: Any, found: Language) -> None:
    assert isinstance(found, Language)


def _is_a_limit(_: str, found: int) -> None:
    assert found in {Limits().source_limit, 5_000}


def _has_no_breaks(_: Any, found: list[Any]) -> None:
    assert found == []


CONFIG = (Misconfigured,)
BODY = (HTTPException, RequestValidationError, bodies.MalformedJson, bodies.JsonBeyondLimits)

PARSERS: Mapping[str, Parser] = {
    "chassis.arrival.Arrival.of": Parser(
        lambda record: Arrival.of(record, "site."), RECORDS, NEVER, _says_envelope_or_fault
    ),
    "chassis.arrival.read_envelope": Parser(read_envelope, HEADERS, (Broken,)),
    "chassis.bodies.admit": Parser(_admit, SENT, BODY),
    "chassis.bodies.admit_form": Parser(_admit_form, SENT, (HTTPException,)),
    "chassis.bodies.admit_octets": Parser(_admit_octets, SENT, (HTTPException,)),
    "chassis.bodies.check_json": Parser(
        bodies.check_json, SENT.map(lambda sent: sent[1]), BODY, _is_json_that_postgres_keeps
    ),
    "chassis.commands.command.count": Parser(
        command.count, st.text(max_size=30) | st.integers().map(str), (argparse.ArgumentTypeError,), _fits_a_bigint
    ),
    "chassis.commands.command.moment": Parser(command.moment, MOMENTS, (argparse.ArgumentTypeError,), _is_utc),
    "chassis.commands.command.past": Parser(command.past, MOMENTS, (argparse.ArgumentTypeError,), _is_utc),
    "chassis.handlers.read": Parser(_read_value, VALUES, (Broken,)),
    "chassis.http.client_address": Parser(_client_address, SENT, NEVER, _is_an_address),
    "chassis.idempotency.key_of": Parser(_key_of, SENT, (IdempotencyKeyUnreadable, IdempotencyKeyNeedsCaller)),
    "chassis.requests.prove": Parser(lambda arrival: requests.prove(arrival, SYSTEM, "auth"), REQUESTS, (NotProven,)),
    "chassis.sealing.Keyring.load": Parser(_load_keyring, CONFIGURED, CONFIG),
    "chassis.sealing.Keyring.open": Parser(
        lambda token: KEYRING.open(token, PLACE),
        st.text() | st.lists(st.text(max_size=20), min_size=5, max_size=5).map(".".join),
        (CannotOpen,),
    ),
    "chassis.settings.read": Parser(
        _read_settings, _environments(AuthSettings) | _environments(NotificationsSettings), CONFIG
    ),
    "chassis.signing.fits": Parser(signing.fits, st.sampled_from([KEY, _OPENER]) | JSON),
    "chassis.signing.read_key": Parser(_read_key, CONFIGURED, CONFIG),
    "chassis.signing.verify": Parser(
        lambda token: signing.verify(token, b"content", {"member-1": KEY}),
        st.text() | JSON.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode() + "..AA"),
        (NotProven,),
    ),
    "chassis.systems.Systems.load": Parser(_load_systems, CONFIGURED, CONFIG),
    "chassis.systems.Systems.of_source": Parser(
        SYSTEMS.of_source, st.text() | st.text().map(SOURCE.__add__), NEVER, _is_none_or_ours
    ),
    "chassis.texts.Texts": Parser(_load_texts, CATALOGUES, (CatalogueError,)),
    "chassis.texts.choose_language": Parser(
        lambda header: texts.choose_language(header, Language.EN), st.none() | _LATIN, NEVER, _is_a_language
    ),
    "chassis.strict_json.read_object": Parser(strict_json.read_object, st.binary(), (NotAnObject,)),
    "chassis.strict_json.read_part": Parser(strict_json.read_part, st.text(), (NotAnObject,)),
    "chassis.tokens.Verifier.verify": Parser(tickets.verifier().verify, TOKENS, (BadToken,)),
    "chassis.tokens.read_keys": Parser(_read_token_keys, CONFIGURED, CONFIG),
    "chassis.tracing.read_header": Parser(
        tracing.read_header,
        st.none() | st.binary(max_size=60) | st.from_regex(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True),
        NEVER,
        _is_a_traceparent_or_none,
    ),
    "contracts.compatibility.breaks": Parser(
        lambda schema: compatibility.breaks({"a.A.v1": schema}, {"a.A.v1": schema}), SCHEMAS, NEVER, _has_no_breaks
    ),
    "contracts.message.Envelope": Parser(
        Envelope.model_validate, st.dictionaries(st.sampled_from(ATTRIBUTES), JSON), (ValidationError,)
    ),
    "contracts.privacy.Sealed.from_token": Parser(privacy.Sealed[str].from_token, st.text()),
    "services.auth.people.accounts.language_of": Parser(
        accounts.language_of, st.text(), (WrongLanguage,), _is_a_language
    ),
    "services.auth.identities.numbers.read_number": Parser(
        identity_numbers.read_number, st.from_regex(r"[0-9]{6} ?[0-9]{5}") | st.text(), (WrongIdentityNumber,)
    ),
    "services.auth.identities.vault.Vault.load": Parser(_load_vault, CONFIGURED, CONFIG),
    "services.auth.identities.vault.Vault.open": Parser(
        lambda text: VAULT.open("number", UUID(int=1), text), st.text() | SEALED_OR_NOT, (NotOurs,)
    ),
    "services.auth.identity_providers.discovery.read_keys": Parser(
        discovery.read_keys,
        st.dictionaries(st.just("keys"), st.lists(_KEY | JSON, max_size=4) | JSON),
        (ProviderDistrusted,),
    ),
    "services.auth.identity_providers.discovery.read_metadata": Parser(
        lambda said: discovery.read_metadata(said, PROVIDER), DISCOVERED, (ProviderDistrusted,)
    ),
    "services.auth.identity_providers.id_tokens.prove": Parser(
        lambda token: id_tokens.prove(token, PROVIDER, {}, Expected("nonce", Assurance.LOW, 0.0)),
        st.text() | ASSERTIONS,
        (LogInFailed,),
    ),
    "services.auth.identity_providers.profiles.may_be_called": Parser(
        profiles.may_be_called, st.text() | st.text(max_size=20).map("https://{}".format) | JSON
    ),
    "services.auth.identity_providers.profiles.Providers.load": Parser(
        _load_providers, CONFIGURED | PROFILES.map(json.dumps).map(str.encode), CONFIG
    ),
    "services.auth.identity_links.links.read_mobile": Parser(
        links.read_mobile, st.from_regex(r"[+]?[0-9 ]{6,18}") | st.text(), (WrongMobile,)
    ),
    "services.auth.identity_links.commands.read_domain": Parser(
        identity_link_commands.read_domain,
        st.emails().map(lambda address: address.partition("@")[2]) | st.text(),
        (argparse.ArgumentTypeError,),
    ),
    "services.auth.limits.Limits.of_source": Parser(
        Limits(known_networks={ipaddress.ip_network("10.0.0.0/8"): 5_000}).of_source,
        st.text() | st.ip_addresses().map(str),
        NEVER,
        _is_a_limit,
    ),
    "services.auth.sessions.assertions.prove": Parser(
        lambda token: assertions.prove(token, SYSTEMS, ["us"]), ASSERTIONS, (assertions.NotProven,)
    ),
    "services.auth.sessions.refresh_tokens.parse": Parser(
        lambda token: refresh_tokens.parse(token, Keys(SecretStr("a2V5"))), REFRESHING, (RefreshRefused,)
    ),
    "services.auth.sessions.token_api.parse_form": Parser(parse_form, FORMS, (UnreadableForm,)),
    "services.auth.sessions.token_keys.read_private": Parser(_read_private, CONFIGURED, CONFIG),
    "services.auth.people.addresses.normalise": Parser(
        addresses.normalise, st.emails() | st.text(), (WrongAddress,), _stays_as_it_is
    ),
    "services.auth.cursors.read_cursor": Parser(
        lambda text: cursors.read_cursor(text, "name"), CURSORS, (WrongCursor,)
    ),
    "services.auth.organisations.numbers.read_number": Parser(
        numbers.read_number, st.from_regex(r"[0-9 ]{9,11}") | st.text(), (WrongNumber,), _is_trimmed
    ),
    "services.auth.organisations.organisations.read_name": Parser(
        organisations.read_name, st.text(), (WrongOrganisationName,), _is_trimmed
    ),
    "services.auth.people.names.read_name": Parser(names.read_name, st.text(), (WrongName,), _is_trimmed),
    "services.auth.passwords.policy.normalise": Parser(policy.normalise, st.text(), NEVER, _is_in_nfc),
    "services.auth.people.user_names.key_of": Parser(user_names.key_of, st.text(), (WrongUserName,), _is_its_own_key),
    "services.auth.people.user_names.choose": Parser(
        lambda text: user_names.choose(text, addresses.Address("kari@example.no")), st.text(), (WrongUserName,)
    ),
    "services.auth.people.user_names.read_login": Parser(
        user_names.read_login, st.emails() | st.text(), NEVER, _reads_as_itself
    ),
}

NOT_FROM_OUTSIDE = {
    "chassis.arrival.Arrival.unpack": "reads what `pack` wrote, sealed to this service; asked with `Arrival.of`",
    "chassis.migrate.read": "reads this repository's own migrations",
    "chassis.sealing.Keyring.opened": "is `open`, with its result beside the token",
    "chassis.continuity.Continuity.prove": "compares positions of records that were read",
    "chassis.postgres.open_database": "takes an address that the settings have read",
    "chassis.settings.ServiceSettings.read": "is `settings.read`",
    "services.auth.identity_providers.api.Returned.read": "puts together what FastAPI has read and bounded",
    "services.auth.identity_providers.pages.language_of": "is `choose_language`, with the request's header",
    "contracts.privacy.reader_of": "reads annotations of this repository's own messages",
}
"""What is called like a parser and is none, with the reason."""
