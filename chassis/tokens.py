"""Tokens: what an access token says, signed by auth for one service and checked there without asking anybody (RFC 9068).

A token that is no JWT as auth writes it is refused whatever else it is: at most 8 KB before anything is read, the algorithm
from our key and never from the token, no header parameter besides the three, no name twice (RFC 8725, sec-A11).
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from joserfc import jws
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis import signing, strict_json
from chassis.errors import Misconfigured
from chassis.signing import ALGORITHMS, Key
from chassis.strict_json import NotAnObject

TYPE = "at+jwt"
LARGEST = 8_192
"""Characters of a token."""
LONGEST_SECONDS = 300
"""The most that a token may live, whatever it says."""
KEPT = 2_000
"""Tokens that are not verified anew each time."""
SYSTEM = "system:"
"""What the `sub` of a system begins with; its name follows."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS.values()))


class Assurance(StrEnum):
    """How surely it is known who signed in: an e-mailed code is `low`; ID-porten or BankID are more."""

    LOW = "low"
    SUBSTANTIAL = "substantial"
    HIGH = "high"

    def reaches(self, needed: "Assurance") -> bool:
        """Tell whether this is at least as sure as what is needed."""
        order = list(Assurance)
        return order.index(self) >= order.index(needed)


class BadToken(Exception):
    """A token is not one of ours, not for this service, or no longer; the reason is a constant, never of the token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says; times are in whole seconds.

    A person's `subject` is the account's id, and has a session and a security epoch; a system's is `system:<name>` and has
    neither. `rights` are those of the audience's service alone; `terms` are those accepted and still sufficient, by name.
    """

    issuer: str
    audience: str
    subject: str
    client_id: str
    issued_at: datetime
    expires_at: datetime
    token_id: str
    session_id: UUID | None = None
    epoch: int | None = None
    organisation_id: UUID | None = None
    rights: frozenset[str] = frozenset()
    assurance: Assurance = Assurance.LOW
    terms: Mapping[str, str] = field(default_factory=dict)

    @property
    def account_id(self) -> UUID | None:
        """Give the person's account; None for a system."""
        return None if self.subject.startswith(SYSTEM) else UUID(self.subject)

    @property
    def system(self) -> str | None:
        """Give the system's name; None for a person."""
        return self.subject.removeprefix(SYSTEM) if self.subject.startswith(SYSTEM) else None


def sign(claims: Claims, key: Key) -> str:
    """Write an access token; raises `ValueError` for one that no service would take."""
    header = {"alg": ALGORITHMS[str(key.curve_name)], "typ": TYPE, "kid": key.kid}
    body = {
        "iss": claims.issuer,
        "aud": claims.audience,
        "sub": claims.subject,
        "client_id": claims.client_id,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
        "jti": claims.token_id,
        "sid": None if claims.session_id is None else str(claims.session_id),
        "epoch": claims.epoch,
        "org": None if claims.organisation_id is None else str(claims.organisation_id),
        "rights": sorted(claims.rights),
        "acr": claims.assurance.value,
        "terms": dict(claims.terms),
    }
    said = {name: value for name, value in body.items() if value is not None}
    try:
        _Body.model_validate(said).check()
    except (ValidationError, BadToken) as error:
        raise ValueError(f"no service would take this token: {error}") from None
    content = json.dumps(said, separators=(",", ":")).encode()
    token = jws.serialize_compact(header, content, key, registry=_REGISTRY)
    if len(token) > LARGEST:
        raise ValueError(f"no service would take this token: it has {len(token)} characters")
    return token


def read_keys(path: Path) -> Mapping[str, Key]:
    """Read the public keys of auth by `kid`, a JWK Set (RFC 7517); raises `Misconfigured` naming the file."""
    try:
        given = json.loads(path.read_bytes())["keys"]
    except OSError as error:
        raise Misconfigured(f"the key set {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Misconfigured(f"{path} is not a JWK Set (RFC 7517): {type(error).__name__}") from None
    if not isinstance(given, list) or not given:
        raise Misconfigured(f"{path} holds no key; a public Ed25519 or P-256 key with a `kid` is needed")
    return signing.public_keys(given, path)


class Verifier:
    """Checks access tokens for one service, `audience`, against the keys of their one issuer.

    A token that was verified is remembered whole for as long as it is good, up to a number, so that only the first of its
    requests pays for the signature.
    """

    def __init__(
        self, keys: Mapping[str, Key], *, issuer: str, audience: str, clock_skew: float = 60.0, kept: int = KEPT
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._skew = clock_skew
        self._kept = kept
        self._known: dict[str, Claims] = {}

    def verify(self, token: str) -> Claims:
        """Give what a token says that is good here and now; raises `BadToken`.

        The issuer's clock may be ahead of ours by the skew; what has expired by our clock has expired.
        """
        claims = self._known.get(token) or self._verify(token)
        if claims.expires_at.timestamp() <= time.time():
            self._known.pop(token, None)
            raise BadToken("expired")
        if token not in self._known:
            self._keep(token, claims)
        return claims

    def _keep(self, token: str, claims: Claims) -> None:
        while len(self._known) >= self._kept > 0:
            del self._known[next(iter(self._known))]  # The one that came first: it expires first, or nearly.
        if self._kept:
            self._known[token] = claims

    def _verify(self, token: str) -> Claims:
        if len(token) > LARGEST:
            raise BadToken("too large")
        if not _COMPACT.fullmatch(token):
            raise BadToken("no compact JWS")
        key = self._key_of(_header(token))
        try:
            content = jws.deserialize_compact(token, key, registry=_REGISTRY).payload
        except Exception:  # A stranger's token makes the library raise anything.
            raise BadToken("wrong signature") from None
        body = _read(content)
        if body.iss != self._issuer:
            raise BadToken("another issuer")
        if body.aud != self._audience:
            raise BadToken("for another service")
        if body.iat > time.time() + self._skew:
            raise BadToken("from the future")
        return body.claims()

    def _key_of(self, header: Mapping[str, Any]) -> Key:
        if header.keys() != {"alg", "typ", "kid"} or not all(isinstance(value, str) for value in header.values()):
            raise BadToken("another header than alg, typ and kid")
        key = self._keys.get(header["kid"])
        if key is None:
            raise BadToken("unknown key")
        if header["alg"] != ALGORITHMS[str(key.curve_name)]:
            raise BadToken("another algorithm")
        if header["typ"] != TYPE:
            raise BadToken("another type")
        return key


_Name = Annotated[str, Field(min_length=1, max_length=255)]
_Seconds = Annotated[int, Field(ge=0, lt=2**36)]
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_Id = Annotated[str, Field(pattern=f"^{_UUID}$")]


class _Body(BaseModel):
    """The claims as they lie in a token. What is not known here is passed over: auth may be a release ahead."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    iss: _Name
    aud: _Name
    sub: Annotated[str, Field(pattern=f"^({SYSTEM}[a-z][a-z0-9-]{{0,62}}|{_UUID})$")]
    client_id: _Name
    iat: _Seconds
    exp: _Seconds
    jti: _Name
    sid: _Id | None = None
    epoch: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    org: _Id | None = None
    rights: Annotated[list[_Name], Field(max_length=200)]
    acr: Annotated[Assurance, Field(strict=False)]
    terms: dict[_Name, _Name]

    def check(self) -> None:
        """Raise `BadToken` where the claims do not fit together."""
        if not 0 < self.exp - self.iat <= LONGEST_SECONDS:
            raise BadToken("a life that no token has")
        if (self.sid is None, self.epoch is None) != ((self.sub.startswith(SYSTEM),) * 2):
            raise BadToken("neither a person in a session nor a system")

    def claims(self) -> Claims:
        return Claims(
            issuer=self.iss,
            audience=self.aud,
            subject=self.sub,
            client_id=self.client_id,
            issued_at=datetime.fromtimestamp(self.iat, UTC),
            expires_at=datetime.fromtimestamp(self.exp, UTC),
            token_id=self.jti,
            session_id=None if self.sid is None else UUID(self.sid),
            epoch=self.epoch,
            organisation_id=None if self.org is None else UUID(self.org),
            rights=frozenset(self.rights),
            assurance=self.acr,
            terms=self.terms,
        )


def _read(content: bytes) -> _Body:
    try:
        body = _Body.model_validate(_parsed(content, "the claims"))
    except ValidationError:
        raise BadToken("claims that are missing or of another kind") from None
    body.check()
    return body


def _parsed(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        return strict_json.read_object(content)
    except NotAnObject as error:
        raise BadToken(f"{what} {error}") from None


def _header(token: str) -> Mapping[str, Any]:
    try:
        return strict_json.read_part(token.partition(".")[0])
    except NotAnObject as error:
        raise BadToken(f"the header {error}") from None
