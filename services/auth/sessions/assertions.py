"""Assertions: how a system proves which one it is: a JWT signed with its own key, taken once (RFC 7523, private_key_jwt)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from joserfc import jws
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis import strict_json
from chassis.signing import ALGORITHMS, Key
from chassis.strict_json import NotAnObject
from chassis.systems import System, Systems

LARGEST = 8_192
"""Characters of an assertion."""
LONGEST_SECONDS = 300
"""How far ahead its end may lie."""
TYPES = frozenset({"JWT", "client-authentication+jwt"})
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS.values()))


class NotProven(Exception):
    """An assertion proves nothing; the reason is a constant, never of the assertion."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """What was proven by signature; whether it is used for the first time, and in time, the database decides."""

    system: System
    token_id: str
    expires: int
    """Seconds since 1970."""
    not_before: int
    """As above; 0 where the system does not say."""


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    iss: str
    sub: str
    aud: str | list[str]
    exp: Annotated[int, Field(ge=0, lt=2**36)]
    nbf: Annotated[int, Field(ge=0, lt=2**36)] = 0
    jti: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]


def prove(assertion: str, systems: Systems, audiences: Collection[str]) -> Assertion:
    """Give what a system has signed with a key of its own for one of our names; raises `NotProven`."""
    if len(assertion) > LARGEST:
        raise NotProven("too large")
    if not _COMPACT.fullmatch(assertion):
        raise NotProven("no compact JWS")
    header, body, _ = assertion.split(".")
    said, claims = _object(header), _claims(body)
    system = systems.find(claims.sub)
    if claims.iss != claims.sub or system is None:
        raise NotProven("no known system speaks for itself")
    key = _key_of(said, system)
    try:
        jws.deserialize_compact(assertion, key, registry=_REGISTRY)
    except Exception:  # A stranger's header makes the library raise anything.
        raise NotProven("wrong signature") from None
    named = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if len(named) != 1 or named[0] not in audiences:
        raise NotProven("for somebody else")
    return Assertion(system, claims.jti, claims.exp, claims.nbf)


def _key_of(header: Mapping[str, Any], system: System) -> Key:
    """Take three parameters alone: what else a header may say changes what a signature means, or which key is asked."""
    if not {"alg", "kid"} <= header.keys() <= {"alg", "kid", "typ"}:
        raise NotProven("another header than alg, kid and typ")
    if not all(isinstance(value, str) for value in header.values()):
        raise NotProven("a header of another kind")
    key = system.keys.get(header["kid"])
    if key is None:
        raise NotProven("unknown key")
    if header["alg"] != ALGORITHMS[str(key.curve_name)]:
        raise NotProven("another algorithm")
    if header.get("typ", "JWT") not in TYPES:
        raise NotProven("another type")
    return key


def _claims(part: str) -> _Claims:
    try:
        return _Claims.model_validate(_object(part))
    except ValidationError:
        raise NotProven("claims that are missing or of another kind") from None


def _object(part: str) -> Mapping[str, Any]:
    try:
        return strict_json.read_part(part)
    except NotAnObject as error:
        raise NotProven(f"a part that {error}") from None
