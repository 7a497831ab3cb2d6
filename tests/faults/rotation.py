"""Rotation: which copies of the ledger's API get requests; one that is to stop is taken out first, as a cluster does."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.faults.keeper import Keeper, Unit


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
