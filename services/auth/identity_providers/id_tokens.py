"""ID tokens: what a provider has signed about who logged in, taken only if all of it is for us, for this log-in, and now.

OpenID Connect Core, 3.1.3.7, and RFC 8725: the algorithm is one of the profile's and fits the key, which is one of those
that the provider publishes; no name twice (sec-A13).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis import strict_json
from chassis.strict_json import NotAnObject
from chassis.tokens import Assurance
from services.auth.identities import numbers
from services.auth.identities.errors import WrongIdentityNumber
from services.auth.identities.numbers import IdentityNumber
from services.auth.identity_providers.discovery import Keys
from services.auth.identity_providers.errors import AssuranceNotReached, NumberMissing, ProviderDistrusted
from services.auth.identity_providers.profiles import Profile, Provider, SigningKey

LARGEST = 16_384
"""Characters of a token."""
LONGEST_SECONDS = 300
"""How old a token may be that is asked for now: an old one is another log-in's."""
PARTS = 3
CHANGING = frozenset({"crit", "b64", "zip", "jwk", "jku", "x5u"})
"""What changes what a signature means, or which key is asked, as a header may say."""
_FITS = {"RS256": RSAKey, "PS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey, "Ed25519": OKPKey}
_REGISTRY = jws.JWSRegistry(algorithms=list(_FITS), strict_check_header=False)


class UnknownKey(ProviderDistrusted):
    """The provider of your electronic ID gave an answer that cannot be trusted.

    You are not logged in, and nothing has changed. Begin again from the log-in page; if it happens again, tell support.
    """


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token must say: it answers this log-in, at least as surely as was asked."""

    nonce: str
    assurance: Assurance
    now: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Proven:
    """Who logged in there. `subject` means something together with `issuer` alone (sec-A14)."""

    issuer: str
    subject: str = field(repr=False)
    assurance: Assurance
    number: IdentityNumber | None
    session: str | None
    """The provider's own name of its session, for log-out."""
    token: str = field(repr=False)


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    iss: str
    sub: Annotated[str, Field(min_length=1, max_length=255)]
    aud: str | list[str]
    exp: Annotated[float, Field(ge=0, lt=2**36)]
    iat: Annotated[float, Field(ge=0, lt=2**36)]
    nbf: Annotated[float | None, Field(ge=0, lt=2**36)] = None
    nonce: str
    azp: str | None = None
    acr: str | None = None
    sid: Annotated[str | None, Field(min_length=1, max_length=255)] = None


def prove(token: str, provider: Provider, keys: Keys, expected: Expected) -> Proven:
    """Give who logged in; raises `ProviderDistrusted`, `AssuranceNotReached`, `NumberMissing`, each with its reason.

    `UnknownKey`, one of the first, means that the provider may have a new key.
    """
    content = _verified(token, provider.profile, keys)
    try:
        claims = _Claims.model_validate(content)
    except ValidationError as error:
        names = {str(fault["loc"][0]) for fault in error.errors()}
        raise ProviderDistrusted(f"id_token: {', '.join(sorted(names))} missing or of another kind") from None
    _check(claims, provider, expected)
    return Proven(
        claims.iss,
        claims.sub,
        _assurance(claims.acr, provider.profile, expected.assurance),
        _number(content, provider.profile),
        claims.sid,
        token,
    )


def _verified(token: str, profile: Profile, keys: Keys) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(token) > LARGEST or len(parts) != PARTS or not token.isascii():
        raise ProviderDistrusted("id_token is no compact JWS")
    header = _object(parts[0])
    if CHANGING & header.keys() or not all(isinstance(header.get(name), str) for name in ("alg", "kid")):
        raise ProviderDistrusted("id_token: a header that is not taken")
    if header["alg"] not in profile.algorithms:
        raise ProviderDistrusted("id_token: another algorithm")
    key = keys.get(header["kid"])
    if key is None:
        raise UnknownKey("id_token: unknown key")
    _check_signature(token, header["alg"], key)
    return _object(parts[1])


def _check_signature(token: str, algorithm: str, key: SigningKey) -> None:
    if not isinstance(key, _FITS[algorithm]):
        raise ProviderDistrusted("id_token: the algorithm is not its key's")
    try:
        jws.deserialize_compact(token, key, registry=_REGISTRY)
    except Exception:  # A stranger's header makes the library raise anything.
        raise ProviderDistrusted("id_token: wrong signature") from None


def _check(claims: _Claims, provider: Provider, expected: Expected) -> None:
    ours, skew = provider.profile.client_id, provider.profile.clock_skew_seconds
    named = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    right = {
        "iss": claims.iss == provider.issuer,
        "aud": ours in named and (len(named) == 1 or claims.azp == ours),
        "azp": claims.azp in {None, ours},
        "exp": expected.now < claims.exp + skew,
        "iat": expected.now - LONGEST_SECONDS - skew <= claims.iat <= expected.now + skew,
        "nbf": claims.nbf is None or claims.nbf <= expected.now + skew,
        "nonce": claims.nonce == expected.nonce,
    }
    if wrong := [name for name, is_right in right.items() if not is_right]:
        raise ProviderDistrusted(f"id_token: wrong {', '.join(wrong)}")


def _assurance(acr: str | None, profile: Profile, wanted: Assurance) -> Assurance:
    assurance = profile.assurance_of(acr)
    if assurance is None:
        raise ProviderDistrusted("id_token: an acr that does not count" if acr else "id_token: no acr")
    if not assurance.reaches(wanted):
        raise AssuranceNotReached("id_token: acr lower than asked")
    return assurance


def _number(content: Mapping[str, Any], profile: Profile) -> IdentityNumber | None:
    said = None if profile.number_claim is None else content.get(profile.number_claim)
    if said is None and profile.number_required:
        raise NumberMissing("id_token: no identity number")
    if said is None:
        return None
    try:
        number = numbers.read_number(said if isinstance(said, str) else "")
    except WrongIdentityNumber:
        raise ProviderDistrusted("id_token: what is no identity number") from None
    if number.synthetic and not profile.synthetic:
        raise ProviderDistrusted("id_token: a test person's number")
    return number


def _object(part: str) -> Mapping[str, Any]:
    try:
        return strict_json.read_part(part)
    except NotAnObject as error:
        raise ProviderDistrusted(f"id_token: a part that {error}") from None
