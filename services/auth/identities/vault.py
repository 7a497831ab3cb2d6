"""Vault: what auth alone must be able to read again, encrypted at rest: identity numbers, and tokens of providers.

JWE (RFC 7516) with A256GCM under a key that is mounted, bound to the row that it stands in. The first key of the set
encrypts, every one opens: so a key is exchanged by a new one before it, and the old one goes when nothing needs it any more.
"""

import json
import warnings
from pathlib import Path
from typing import Any
from uuid import UUID

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet, OctKey
from joserfc.registry import HeaderParameter

from chassis.errors import Misconfigured

ALGORITHM, ENCRYPTION = "dir", "A256GCM"
BITS = 256
ROW, USE = "samband_row", "samband_use"
_REGISTRY = jwe.JWERegistry(
    header_registry={name: HeaderParameter(f"Samband {name}", "str") for name in (ROW, USE)},
    algorithms=[ALGORITHM, ENCRYPTION],
)


class NotOurs(Exception):
    """What stands in a row was not written there by us, or under a key that is gone; the reason is a constant."""


class Vault:
    """The keys, loaded once, in the composition root."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    @classmethod
    def load(cls, path: Path) -> "Vault":
        """Read the keys, a JWK Set (RFC 7517); raises `Misconfigured` naming the file."""
        try:
            with warnings.catch_warnings(action="ignore"):  # Of a key that is too short, which is refused below.
                keys = [JWKRegistry.import_key(key) for key in json.loads(path.read_text(encoding="utf-8"))["keys"]]
        except OSError as error:
            raise Misconfigured(f"the key set {path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, JoseError) as error:
            raise Misconfigured(f"{path} is not a JWK Set (RFC 7517): {type(error).__name__}") from None
        if not keys:
            raise Misconfigured(f"{path} holds no key; an `oct` key of {BITS} bits with a `kid` is needed")
        for key in keys:
            if not isinstance(key, OctKey) or len(key.raw_value) * 8 != BITS or not key.kid:
                raise Misconfigured(f"{path}: every key must be an `oct` key of {BITS} bits with a `kid`")
        if len({key.kid for key in keys}) != len(keys):
            raise Misconfigured(f"{path} holds two keys of one `kid`")
        return cls(KeySet(keys))

    def close(self, use: str, row: UUID, clear: str) -> str:
        """Encrypt a text for one use in one row: elsewhere it does not open."""
        key = self._keys.keys[0]
        header = {"alg": ALGORITHM, "enc": ENCRYPTION, "kid": key.kid, ROW: str(row), USE: use}
        return jwe.encrypt_compact(header, clear, key, registry=_REGISTRY)

    def open(self, use: str, row: UUID, closed: str) -> str:
        """Give the text; raises `NotOurs`."""
        try:
            opened = jwe.decrypt_compact(closed, self._keys, registry=_REGISTRY)
            text = (opened.plaintext or b"").decode()
        except Exception:  # What somebody wrote into a row makes the library raise anything.
            raise NotOurs("does not open") from None
        header: dict[str, Any] = opened.protected
        if "zip" in header or (header.get(ROW), header.get(USE)) != (str(row), use):
            raise NotOurs("stands elsewhere than it was written")
        return text


def new_key(kid: str) -> OctKey:
    """Make a key."""
    return OctKey.generate_key(BITS, {"kid": kid, "use": "enc"}, private=True)
