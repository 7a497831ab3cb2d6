"""Signing: who says it, and what exactly, as a JWS (RFC 7515) of a system outside; and the keys that signing takes.

Ed25519 (RFC 9864) or ES256. All that the signature covers besides the content stands in the protected header, so that
nobody has to write anything the same way twice; `typ` keeps one use of a key from passing for another (RFC 8725).
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey
from joserfc.registry import HeaderParameter
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from chassis.errors import Misconfigured
from contracts.requests import Unproven

Key = ECKey | OKPKey
ALGORITHMS: Mapping[str, str] = {"Ed25519": "Ed25519", "P-256": "ES256"}
"""The one algorithm of each curve that a key may be on."""
KID = re.compile(r"[!-~]{1,100}")
LONGEST = 2_000
"""Characters of a detached JWS: a header with the longest names, and a signature."""
_NAMES = ("samband_message", "samband_type", "samband_audience", "samband_time", "samband_sha256", "samband_length")
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_REGISTRY = jws.JWSRegistry(
    header_registry={name: HeaderParameter(f"Samband {name}", "str") for name in _NAMES},
    algorithms=list(ALGORITHMS.values()),
)
_REGISTRY.max_header_length = LONGEST
_REGISTRY.max_payload_length = 16 * 1024 * 1024  # Kafka and the HTTP edge bound what comes.


class NotProven(Exception):
    """No signature proves who sent this; the reason is from a fixed list."""

    def __init__(self, reason: Unproven) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed besides the content: `use` is the JWS's `typ`, `facts` are the `samband_…` parameters, unprefixed."""

    use: str
    facts: Mapping[str, str] = field(default_factory=dict)

    def header(self) -> dict[str, str]:
        return {"typ": self.use, **{f"samband_{name}": text for name, text in self.facts.items()}}


def sign(statement: Statement, content: bytes, key: Key) -> str:
    """Sign as a detached JWS: the content travels beside it, byte for byte."""
    header: dict[str, Any] = {"alg": ALGORITHMS[str(key.curve_name)], "kid": key.kid, **statement.header()}
    return jws.detach_content(jws.serialize_compact(header, content, key, registry=_REGISTRY))


def verify(token: str, content: bytes, keys: Mapping[str, Key]) -> Statement:
    """Give what was stated over this content by the holder of one of the keys (by `kid`); raises `NotProven`."""
    header = _header(token)
    key = keys.get(str(header.get("kid")))
    if key is None:
        raise NotProven(Unproven.UNKNOWN_KEY)
    if header.get("alg") != ALGORITHMS[str(key.curve_name)]:
        raise NotProven(Unproven.UNREADABLE_SIGNATURE)
    whole = token.replace("..", f".{base64.urlsafe_b64encode(content).rstrip(b'=').decode()}.", 1)
    try:
        proven = jws.deserialize_compact(whole, key, registry=_REGISTRY).protected
    except BadSignatureError:
        raise NotProven(Unproven.WRONG_SIGNATURE) from None
    except Exception:  # A stranger's header makes the library raise anything.
        raise NotProven(Unproven.UNREADABLE_SIGNATURE) from None
    facts = {name.removeprefix("samband_"): str(value) for name, value in proven.items() if name in _NAMES}
    return Statement(str(proven.get("typ")), facts)


def new_key(kid: str, curve: str = "Ed25519") -> Key:
    """Make a private key for a system."""
    about: Any = {"kid": kid, "use": "sig"}
    if curve == "P-256":
        return ECKey.generate_key(curve, about, private=True)
    return OKPKey.generate_key("Ed25519", about, private=True)


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time lies beyond the calendar") from None


def _as_written(text: object) -> object:
    """Let RFC 3339 pass, and no number, which pydantic takes for seconds since 1970."""
    if isinstance(text, str) and not _RFC_3339.fullmatch(text):
        raise ValueError("the time must be as in RFC 3339")
    return text


Moment = Annotated[AwareDatetime, BeforeValidator(_as_written), AfterValidator(_in_utc)]
"""A time as somebody outside has written it, in UTC, so that Postgres can take it."""


def read_key(path: Path) -> Key:
    """Read a system's private key, a JWK (RFC 7517); raises `Misconfigured` naming the file."""
    try:
        key = JWKRegistry.import_key(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise Misconfigured(f"the key {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError, JoseError) as error:
        raise Misconfigured(f"{path} is no JWK (RFC 7517): {type(error).__name__}") from None
    if not isinstance(key, ECKey | OKPKey) or not fits(key) or not key.is_private or not key.kid:
        raise Misconfigured(f"{path} must be a private Ed25519 or P-256 key with a `kid`")
    return key


def public_keys(given: Iterable[dict[str, Any]], path: Path) -> dict[str, Key]:
    """Read public JWKs by `kid`, to verify with; raises `Misconfigured` naming the file they are from."""
    try:
        keys = [JWKRegistry.import_key(key) for key in given]
    except (ValueError, TypeError, KeyError, AttributeError, JoseError) as error:
        raise Misconfigured(f"{path} holds a key that is no JWK (RFC 7517): {type(error).__name__}") from None
    by_kid: dict[str, Key] = {}
    for key in keys:
        if not fits(key) or key.is_private or not KID.fullmatch(key.kid or "") or key.kid in by_kid:
            raise Misconfigured(
                f"{path}: every key must be a public Ed25519 or P-256 key with its own `kid` and no other use, alg or key_ops"
            )
        by_kid[str(key.kid)] = key  # type: ignore[assignment]  # `fits` has looked.
    return by_kid


def fits(key: object) -> bool:
    """Tell whether a key is one for signing here."""
    if not isinstance(key, ECKey | OKPKey) or key.curve_name not in ALGORITHMS:
        return False
    says, algorithm = key.as_dict(private=False), ALGORITHMS[key.curve_name]
    does = "sign" if key.is_private else "verify"
    return (
        says.get("use", "sig") == "sig"
        and says.get("alg", algorithm) == algorithm
        and does in says.get("key_ops", does)
    )


def _header(token: str) -> dict[str, Any]:
    """Read the protected header; `crit` and `b64` change what a signature means and are not taken."""
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3 or parts[1]:  # noqa: PLR2004 -- a compact JWS (RFC 7515).
        raise NotProven(Unproven.UNREADABLE_SIGNATURE)
    try:
        header = json.loads(base64.urlsafe_b64decode(parts[0] + "=="))
    except (ValueError, RecursionError):
        raise NotProven(Unproven.UNREADABLE_SIGNATURE) from None
    if not isinstance(header, dict) or {"crit", "b64"} & header.keys():
        raise NotProven(Unproven.UNREADABLE_SIGNATURE)
    return header
