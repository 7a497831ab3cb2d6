"""Requests wait for a copy that takes them, and a watch that failed says so."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest

from tests.faults.keeper import Keeper, Unit
from tests.faults.rotation import Rotation


@dataclass(frozen=True, slots=True)
class Copy:
    """Stands in for a keeper, of which a rotation knows no more."""

    unit: Unit


COPIES = [cast("Keeper", Copy(Unit("ledger", role))) for role in ("api", "api-2")]


async def test_while_no_copy_takes_requests_a_request_waits_for_the_first_that_does() -> None:
    rotation, chance = Rotation(lambda: COPIES), random.Random(1)

    async def request() -> Unit:
        async with rotation.copy(chance) as copy:
            return copy.unit

    async with rotation.without(COPIES[0]):
        async with rotation.without(COPIES[1]):
            asked = asyncio.create_task(request())
            await asyncio.sleep(0)
            assert not asked.done()
        async with asyncio.timeout(20):
            assert await asked == COPIES[1].unit


async def test_a_watch_that_fails_keeps_no_request_and_is_told_at_the_end_of_its_block() -> None:
    asked = asyncio.Event()

    def copies() -> Sequence[Keeper]:
        if not asked.is_set():
            asked.set()
            raise ArithmeticError
        return COPIES

    rotation = Rotation(copies)
    rotation._out.update(copy.unit for copy in COPIES)
    with pytest.raises(ArithmeticError):
        async with rotation.watching():
            async with asyncio.timeout(20):
                await asked.wait()
                async with rotation.copy(random.Random(1)) as copy:
                    assert copy in COPIES
