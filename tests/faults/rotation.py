"""Rotation: which copies of the ledger's API get requests: those that say that they are ready, as in a cluster."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx2

from tests.faults.keeper import Keeper, Unit

WATCH_SECONDS = 0.2


class Rotation:
    """Chooses a copy for each request, and knows how many are under way at each."""

    def __init__(self, copies: Callable[[], Sequence[Keeper]]) -> None:
        self._copies = copies
        self._out: set[Unit] = set()
        self._under_way: Counter[Unit] = Counter()
        self._answered = asyncio.Condition()

    @asynccontextmanager
    async def copy(self, chance: random.Random) -> AsyncIterator[Keeper]:
        """Give a copy that takes requests, for one request."""
        keeper = chance.choice([copy for copy in self._copies() if copy.unit not in self._out])
        self._under_way[keeper.unit] += 1
        try:
            yield keeper
        finally:
            self._under_way[keeper.unit] -= 1
            async with self._answered:
                self._answered.notify_all()

    async def takes(self, keeper: Keeper) -> bool:
        return keeper.unit not in self._out

    @asynccontextmanager
    async def without(self, keeper: Keeper) -> AsyncIterator[None]:
        """Send a copy no more requests, for the block, which begins when those under way are answered."""
        self._out.add(keeper.unit)
        try:
            async with self._answered:
                await self._answered.wait_for(lambda: not self._under_way[keeper.unit])
            yield
        finally:
            self._out.discard(keeper.unit)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Ask every copy again and again whether it is ready, and send requests only to those that were."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._out.clear()

    async def _watch(self) -> None:
        while True:
            async with httpx2.AsyncClient(timeout=2) as client:
                for copy in self._copies():
                    (self._out.discard if await _is_ready(client, copy) else self._out.add)(copy.unit)
            await asyncio.sleep(WATCH_SECONDS)


async def _is_ready(client: httpx2.AsyncClient, copy: Keeper) -> bool:
    try:
        return (await client.get(f"{copy.url}/readyz")).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False
