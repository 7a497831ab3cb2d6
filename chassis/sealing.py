"""Sealing: a text for one reader, as JWE (RFC 7516) bound to the message, type and field it stands in.

ECDH-ES on P-256 with A256GCM, nothing else is accepted and nothing is compressed. The first key of a reader's public
set is used to seal; every key of the own private set opens, so a new private key is mounted before its public half.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, KeySet
from joserfc.registry import HeaderParameter

from chassis.errors import Misconfigured
from contracts.privacy import Sealed

ALGORITHM, ENCRYPTION = "ECDH-ES", "A256GCM"
MESSAGE, TYPE, FIELD = "samband_message", "samband_type", "samband_field"
_REGISTRY = jwe.JWERegistry(
    header_registry={name: HeaderParameter(f"Samband {name}", "str") for name in (MESSAGE, TYPE, FIELD)},
    algorithms=[ALGORITHM, ENCRYPTION],
)
_REGISTRY.max_ciphertext_length = 64 * 1024 * 1024  # The library's 64 KiB would lose a set-aside record that is larger.


class CannotOpen(Exception):
    """A sealed text could not be opened; the message says why, never what was in it."""


class NoKeyFor(Misconfigured):
    """No public key of a reader is mounted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed text stands; one that is moved elsewhere does not open."""

    message_id: str
    type: str
    field: str


class Keyring:
    """The public keys of all readers and this service's own private ones; loaded once, in the composition root."""

    def __init__(self, service: str, public: Mapping[str, KeySet], private: KeySet | None) -> None:
        self.service = service
        self._public = public
        self._private = private

    @classmethod
    def load(cls, service: str, public: Path, private: Path | None) -> "Keyring":
        """Read `<public>/<reader>.json` of every reader and the own `private` set, all JWK Sets (RFC 7517).

        Raises `Misconfigured` naming the file for one that is missing, is no key set, or holds a key of another kind.
        """
        if not public.is_dir():
            raise Misconfigured(f"the folder of public keys {public} does not exist")
        readers = {path.stem: _read(path, private=False) for path in sorted(public.glob("*.json"))}
        return cls(service, readers, _read(private, private=True) if private else None)

    def own_public(self) -> list[dict[str, Any]]:
        """Give this service's own public keys as JWKs, the one to seal with first: what is mounted for the others."""
        keys = self._public.get(self.service)
        return [dict(key.as_dict(private=False)) for key in (keys.keys if keys else [])]

    def seal(self, clear: str, reader: str, place: Place) -> str:
        """Seal a text to its reader and place; raises `NoKeyFor` when the reader's public key is not mounted."""
        keys = self._public.get(reader)
        if keys is None or not keys.keys:
            raise NoKeyFor(f"{self.service} has no public key of {reader} to seal {place.type}.{place.field}")
        key = keys.keys[0]
        header = {
            "alg": ALGORITHM,
            "enc": ENCRYPTION,
            "kid": key.kid,
            MESSAGE: place.message_id,
            TYPE: place.type,
            FIELD: place.field,
        }
        return jwe.encrypt_compact(header, clear, key, registry=_REGISTRY)

    def open(self, token: str, place: Place) -> str:
        """Open a text that was sealed to this service in this place; raises `CannotOpen`."""
        if self._private is None:
            raise CannotOpen(f"{self.service} has no private key")
        try:
            opened = jwe.decrypt_compact(token, self._private, registry=_REGISTRY)
            text = (opened.plaintext or b"").decode()
        except Exception as error:  # A stranger's header makes the library raise anything.
            raise CannotOpen(f"{place.type}.{place.field} does not open: {type(error).__name__}") from None
        header: dict[str, Any] = opened.protected
        if "zip" in header or (header.get(MESSAGE), header.get(TYPE), header.get(FIELD)) != (
            place.message_id,
            place.type,
            place.field,
        ):
            raise CannotOpen(f"{place.type}.{place.field} was sealed for another place")
        return text

    def opened(self, sealed: Sealed[Any], place: Place) -> Sealed[Any]:
        """Give the sealed text with its clear text beside it; raises `CannotOpen`."""
        return Sealed.from_token(sealed.token, self.open(sealed.token, place))


def new_key(kid: str) -> ECKey:
    """Make a private key for a reader; `iat` says when, for operators."""
    members: Any = {"kid": kid, "use": "enc", "iat": int(time.time())}
    return ECKey.generate_key("P-256", members, private=True)


def public_half(private: Mapping[str, Any]) -> dict[str, Any]:
    """Give the public JWK of a private one."""
    public = JWKRegistry.import_key(dict(private)).as_dict(private=False)
    return dict(public)


def _read(path: Path, *, private: bool) -> KeySet:
    try:
        keys = [JWKRegistry.import_key(key) for key in json.loads(path.read_text(encoding="utf-8"))["keys"]]
    except OSError as error:
        raise Misconfigured(f"the key set {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError, JoseError) as error:
        raise Misconfigured(f"{path} is not a JWK Set (RFC 7517): {type(error).__name__}") from None
    half = "private" if private else "public"
    if not keys:
        raise Misconfigured(f"{path} holds no key; a {half} P-256 key with a `kid` is needed")
    for key in keys:
        if not isinstance(key, ECKey) or key.curve_name != "P-256" or key.is_private != private or not key.kid:
            raise Misconfigured(f"{path}: every key must be a {half} P-256 key with a `kid`")
    return KeySet(keys)
