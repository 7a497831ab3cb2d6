"""Keys: keyed digests of what must not stand readable in the database, and the chance that codes are made of."""

import base64
import hashlib
import hmac
import secrets
from typing import Protocol

from pydantic import SecretStr

ALPHABET = "ACDEFGHJKLMNPQRTUVWXY34679"
"""Without what is mistaken for something else when read aloud or off a screen."""


class Keys:
    """HMAC-SHA-256 under one key that lives outside the database; each use has its own name."""

    def __init__(self, key: SecretStr) -> None:
        self._key = base64.b64decode(key.get_secret_value())

    def digest(self, use: str, *parts: str) -> bytes:
        """Digest parts for one use; the same parts elsewhere, or cut elsewhere, give another digest."""
        text = "".join(f"{len(part)}:{part}" for part in (use, *parts))
        return hmac.digest(self._key, text.encode(), hashlib.sha256)


class Chance(Protocol):
    """Where codes, references and tokens come from."""

    def code(self) -> str: ...
    def reference(self) -> str: ...
    def token(self) -> str: ...


class Secrets:
    """Chance from the operating system."""

    def code(self) -> str:
        """Give six digits, leading zeros kept (sec-A1)."""
        return f"{secrets.randbelow(1_000_000):06d}"

    def reference(self) -> str:
        """Give the short word that tells one code from another."""
        return "".join(secrets.choice(ALPHABET) for _ in range(4))

    def token(self) -> str:
        """Give 256 random bits."""
        return secrets.token_urlsafe(32)
