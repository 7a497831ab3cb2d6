"""Transactions that commit in any order, while the relay reads: no message is skipped (rel-R6)."""

import asyncio
import json
import random
from contextlib import AsyncExitStack

import pytest

from chassis import outbox
from chassis.kafka import Sender
from chassis.postgres import Database
from chassis.relay import Relay
from contracts.topics import ACCOUNTS
from tests.conftest import Bus, Clone
from tests.support import bus as stranger
from tests.support.lengths import length
from tests.support.things import happened

INTERLEAVINGS = length(100, 1_000)
AT_ONCE = 4


async def interleave(database: Database, chance: random.Random, first: int) -> None:
    """Write one message in each of several open transactions, then commit them in an order drawn by chance."""
    held = [AsyncExitStack() for _ in range(AT_ONCE)]
    for n, stack in enumerate(held, start=first):
        conn = await stack.enter_async_context(database.transaction())
        await outbox.add(conn, happened(n))
    order = list(reversed(held)) if chance.random() < 1 / 2 else chance.sample(held, len(held))
    for stack in order:
        await stack.aclose()
        await asyncio.sleep(chance.choice((0, 0, 0.002, 0.01)))


@pytest.mark.goal("rel-R6")
@pytest.mark.timeout(300)
async def test_whatever_the_order_of_the_commits_every_message_arrives_once(
    database: Database, clone: Clone, bus: Bus
) -> None:
    chance = random.Random(6)
    relay = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", bus.prefix))
    database.bell.hear(outbox.BELL, relay.wake)
    leading = asyncio.create_task(relay.run())
    try:
        async with stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
            async with database.transaction() as longest:  # Its id is the lowest, and it commits last of all.
                await outbox.add(longest, happened(-1))
                for first in range(0, INTERLEAVINGS * AT_ONCE, AT_ONCE):
                    await interleave(database, chance, first)
            records = await stranger.take(reader, INTERLEAVINGS * AT_ONCE + 1, seconds=60)
    finally:
        relay.stop()
        await asyncio.wait_for(leading, 20)
    assert sorted(json.loads(record.value)["n"] for record in records) == list(range(-1, INTERLEAVINGS * AT_ONCE))
