"""Rotation: which copies of the ledger's API get requests: those that say that they are ready, as in a cluster."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import httpx2

from tests.faults.keeper import Keeper, Unit

WATCH_SECONDS = 0.2


class Rotation:
    """Chooses a copy for each request, and knows how many are under way at each."""

    def __init__(self, copies: Callable[[], Sequence[Keeper]]) -> None:
        self._copies = copies
        self._out: set[Unit] = set()
        self._under_way: Counter[Unit] = Counter()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def copy(self, chance: random.Random) -> AsyncIterator[Keeper]:
        """Give a copy that takes requests, for one request; while there is none, wait for one."""
        async with self._changed:
            await self._changed.wait_for(self._taking)
            keeper = chance.choice(self._taking())
            self._under_way[keeper.unit] += 1
        try:
            yield keeper
        finally:
            self._under_way[keeper.unit] -= 1
            await self._tell()

    def _taking(self) -> list[Keeper]:
        return [copy for copy in self._copies() if copy.unit not in self._out]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def takes(self, keeper: Keeper) -> bool:
        return keeper.unit not in self._out

    @asynccontextmanager
    async def without(self, keeper: Keeper) -> AsyncIterator[None]:
        """Send a copy no more requests, for the block, which begins when those under way are answered."""
        self._out.add(keeper.unit)
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._under_way[keeper.unit])
            yield
        finally:
            self._out.discard(keeper.unit)
            await self._tell()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Ask every copy again and again whether it is ready, and send requests only to those that were.

        When the asking itself fails, every copy takes requests again, and the block ends in that failure.
        """
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        try:
            while True:
                async with httpx2.AsyncClient(timeout=2) as client:
                    for copy in self._copies():
                        (self._out.discard if await _is_ready(client, copy) else self._out.add)(copy.unit)
                        await self._tell()
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._out.clear()
            await self._tell()


async def _is_ready(client: httpx2.AsyncClient, copy: Keeper) -> bool:
    try:
        return (await client.get(f"{copy.url}/readyz")).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False
