"""Hashing: argon2id in a few threads with a bounded queue, over an HMAC under a key outside the database (sec-A6)."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from pydantic import SecretStr

from services.auth import telemetry
from services.auth.keys import Keys
from services.auth.passwords.errors import Busy
from services.auth.passwords.policy import normalise

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
"""As OWASP names them; what was hashed with others is hashed anew at the next log-in."""
WAITING = 32
"""So many wait for each thread at the most: about a second."""
BUSY_SECONDS = 3
NOBODY = UUID(int=0)

T = TypeVar("T")


class Hashing:
    """Threads that hash, one less than there are cores, so that the event loop keeps one.

    They are idle once the routes have ended, and end with the process. `slots` bounds what is begun at once.
    """

    def __init__(
        self,
        pepper: SecretStr,
        *,
        hasher: PasswordHasher | None = None,
        threads: int | None = None,
        waiting: int = WAITING,
    ) -> None:
        threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self._keys = Keys(pepper)
        self._hasher = hasher or PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._free = threads * (1 + waiting)
        self._dummy = self._hasher.hash(self._peppered(NOBODY, "nobody's password"))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator["Slot"]:
        """Take a place in the queue, before anything is counted against anybody; raises `Busy` when none is left."""
        if self._free == 0:
            telemetry.HASHES_REFUSED.inc()
            raise Busy(retry_after=BUSY_SECONDS)
        self._free -= 1
        try:
            yield Slot(self)
        finally:
            self._free += 1

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(cancel_futures=True)

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def hash(self, account_id: UUID, password: str) -> str:
        return self._hasher.hash(self._peppered(account_id, password))

    def matches(self, account_id: UUID | None, password: str, kept: str | None) -> bool:
        try:
            self._hasher.verify(kept or self._dummy, self._peppered(account_id or NOBODY, password))
        except VerificationError:
            return False
        return kept is not None

    def is_old(self, kept: str) -> bool:
        return self._hasher.check_needs_rehash(kept)

    def _peppered(self, account_id: UUID, password: str) -> bytes:
        """Digest a password for its account: its hash is worth nothing in another's row, nor without the key."""
        return self._keys.digest("password", str(account_id), normalise(password))


class Slot:
    """A place in the queue of the threads."""

    def __init__(self, hashing: Hashing) -> None:
        self._hashing = hashing

    async def hash(self, account_id: UUID | None, password: str) -> str:
        """Hash a password; for nobody too, which takes as long."""
        return await self._hashing.run(lambda: self._hashing.hash(account_id or NOBODY, password))

    async def compare(self, account_id: UUID | None, password: str, kept: str | None) -> str | None:
        """Compare a password with the hash that is kept; where none is, in the time that it takes.

        Gives the hash to keep from now on (the same, or a new one where the parameters have changed), None for a wrong one.
        """
        right = await self._hashing.run(lambda: self._hashing.matches(account_id, password, kept))
        if kept is None or not right:
            return None
        return await self.hash(account_id, password) if self._hashing.is_old(kept) else kept
