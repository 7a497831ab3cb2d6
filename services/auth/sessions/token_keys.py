"""Token keys: what access tokens are signed with, and its rotation in the order in which no service refuses a good token.

A key is in two files: the private JWK Set that auth alone has, whose first key signs, and the public one that is mounted
at every service. Every service gets a new public half before auth signs with its key, and keeps an old one until the last
token that was signed with it has expired.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from chassis import keysets, signing, tokens
from chassis.errors import Misconfigured
from chassis.keysets import Jwk, WrongStep
from chassis.settings import LARGEST_CLOCK_SKEW
from chassis.signing import Key
from services.auth.settings import AuthSettings

KEEP = timedelta(seconds=tokens.LONGEST_SECONDS + LARGEST_CLOCK_SKEW)
"""How long a public half is kept when its key signs no more: the longest life of a token, by the clock furthest ahead."""


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The two files."""

    public: Path
    private: Path


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs tokens, with what, and for how many seconds they live."""

    issuer: str
    key: Key
    public: Mapping[str, Key]
    """What services know of the keys, by `kid`."""
    seconds: int = 60


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key as operators see it: nothing of it that is secret."""

    key: str
    signs: bool
    """Tokens are signed with it now."""
    can_sign: bool
    public: bool
    """Services that have this set take its tokens."""
    made_at: datetime | None
    signs_since: datetime | None


def read_private(path: Path) -> list[Key]:
    """Read the keys that auth signs with, the one in use first; raises `Misconfigured` naming the file."""
    found: list[Key] = []
    for given in _read(path):
        try:
            key = JWKRegistry.import_key(given)
        except (ValueError, TypeError, KeyError, AttributeError, JoseError) as error:
            raise Misconfigured(f"{path} holds a key that is no JWK (RFC 7517): {type(error).__name__}") from None
        if not signing.fits(key) or not key.is_private or not signing.KID.fullmatch(key.kid or ""):
            raise Misconfigured(f"{path}: every key must be a private Ed25519 or P-256 key with a `kid`")
        found.append(key)  # type: ignore[arg-type]  # `fits` has looked.
    if len({key.kid for key in found}) != len(found):
        raise Misconfigured(f"{path} holds two keys of one `kid`")
    return found


def signing_key(keys: TokenKeys) -> Key:
    """Give the key that signs; raises `Misconfigured` where services that have the public set would not take its tokens."""
    key, published = read_private(keys.private)[0], tokens.read_keys(keys.public)
    half = published.get(str(key.kid))
    if half is None or half.thumbprint() != key.thumbprint():
        raise Misconfigured(
            f"{keys.public} lacks the public half of {key.kid}, the first key of {keys.private}: "
            "no service would take the tokens that it signs"
        )
    return key


def signer_of(settings: AuthSettings) -> Signer:
    """Make what signs; raises `Misconfigured` where the settings do not say with what, or for whom."""
    if settings.token_keys is None or settings.token_issuer is None:
        raise Misconfigured("auth cannot start: SAMBAND_TOKEN_KEYS and SAMBAND_TOKEN_ISSUER must be set")
    key = signing_key(TokenKeys(settings.token_keys, settings.token_private_keys))
    return Signer(settings.token_issuer, key, tokens.read_keys(settings.token_keys), settings.access_token_seconds)


def list_keys(keys: TokenKeys) -> list[TokenKey]:
    """Give all keys, the one that signs first; raises `Misconfigured`."""
    signs = str(signing_key(keys).kid)
    private, public = _by_kid(keys.private), _by_kid(keys.public)
    return [
        TokenKey(
            kid,
            kid == signs,
            kid in private,
            kid in public,
            _moment(key.get("iat")),
            _moment(public.get(kid, {}).get("nbf")),
        )
        for kid, key in (private | public).items()
    ]


def begin(keys: TokenKeys) -> str:
    """Add a new key that does not sign yet to both sets; gives its name. Raises `WrongStep`, `Misconfigured`."""
    signs = signing_key(keys).kid
    private, public = _read(keys.private), _by_kid(keys.public)
    if len(private) > 1:
        raise WrongStep(f"{private[-1]['kid']} is made and does not sign yet; when every service has it: --use")
    if len(public) > 1 and "nbf" in public[str(signs)]:
        raise WrongStep("the key before is not retired yet; minutes after every auth signs with the new one: --retire")
    kid, now = f"auth-{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3)}", int(datetime.now(UTC).timestamp())
    key = signing.new_key(kid)
    # A half that a step cut short left there has no private key, and nobody will ever sign with it.
    keysets.write(keys.public, [public[str(signs)], {**key.as_dict(private=False), "iat": now}])
    keysets.write(keys.private, [*private, {**key.as_dict(private=True), "iat": now}])
    return kid


def use(keys: TokenKeys) -> str:
    """Sign with the newest key from the next start on; gives its name. Raises as `begin`."""
    signing_key(keys)
    private, public = _read(keys.private), _read(keys.public)
    if len(private) < 2:  # noqa: PLR2004 -- the one that signs, and the one that waits.
        raise WrongStep("no new key waits to be used; a rotation begins without --use")
    new = private[-1]
    if new["kid"] not in {key["kid"] for key in public}:
        raise Misconfigured(f"{keys.public} lacks the public half of {new['kid']}: no service would take its tokens")
    since = {"nbf": int(datetime.now(UTC).timestamp())}
    keysets.write(keys.public, [key | since if key["kid"] == new["kid"] else key for key in public])
    keysets.write(keys.private, [new])
    return str(new["kid"])


def retire(keys: TokenKeys) -> list[str]:
    """Take away public keys whose last tokens have expired; gives their names. Raises as `begin`."""
    kid = signing_key(keys).kid
    public = _by_kid(keys.public)
    old = [each for each in public if each != kid]
    since = _moment(public[str(kid)].get("nbf"))
    if not old or since is None or len(_read(keys.private)) > 1:
        raise WrongStep("no public key is left over from a rotation; there is nothing to retire")
    if (until := since + KEEP) > datetime.now(UTC):
        raise WrongStep(f"{old[0]} may be needed until {until:%Y-%m-%d %H:%M:%S} UTC: tokens that it signed may live")
    keysets.write(keys.public, [public[str(kid)]])
    return old


def _by_kid(path: Path) -> dict[str, Jwk]:
    return {key["kid"]: key for key in _read(path)}


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_bytes())["keys"]
    except OSError as error:
        raise Misconfigured(f"the key set {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Misconfigured(f"{path} is not a JWK Set (RFC 7517): {type(error).__name__}") from None
    if not isinstance(found, list) or not found or not all(isinstance(key, dict) for key in found):
        raise Misconfigured(f"{path} holds no key")
    return found


def _moment(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None
