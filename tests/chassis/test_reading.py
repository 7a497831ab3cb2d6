"""What Kafka is told of a lane's way: soon enough for lag and operators, and not after each batch."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from chassis import reading
from chassis.postgres import Database
from tests.conftest import Bus
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import consuming, handlers
from tests.support.things import ThingHappened
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("effects")


async def told(bus: Bus, group: str) -> int:
    """Sum the offsets that Kafka has for a group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bus.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return sum(max(0, each.offset) for each in offsets.values())


async def test_an_idle_lane_tells_kafka_how_far_it_is(database: Database, bus: Bus, owner: Owner) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        for n in range(5):
            await send(bus, ThingHappened(thing_id=thing, n=n))
        await expect_effects(owner, thing, *range(5))

        async def all_told() -> bool:
            return await told(bus, consumer.consumer_group) == 5

        await until(all_told, what="Kafka to be told of all five")


async def test_a_lane_that_stops_tells_kafka_the_last(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle poll that waits for ever tells nothing; the end does."""
    monkeypatch.setattr(reading, "PATIENCE_MS", 60_000)
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        for n in range(3):
            await send(bus, ThingHappened(thing_id=thing, n=n))
        await expect_effects(owner, thing, 0, 1, 2)
    assert await told(bus, consumer.consumer_group) == 3


async def test_a_lane_at_work_does_not_tell_kafka_after_each_batch(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE_MS", 60_000)
    monkeypatch.setattr(reading, "TELL_SECONDS", 3_600.0)
    commit, requests = AIOKafkaConsumer.commit, 0

    async def count(self: Any, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        nonlocal requests
        requests += 1
        await commit(self, offsets)

    monkeypatch.setattr(AIOKafkaConsumer, "commit", count)
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        for n in range(10):
            await send(bus, ThingHappened(thing_id=thing, n=n))
            await expect_effects(owner, thing, *range(n + 1))
        assert requests == 1
    assert requests == 2
    assert await told(bus, consumer.consumer_group) == 10


async def test_a_lane_goes_on_while_the_group_s_coordinator_does_not_answer(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client would wait for the coordinator for ever; the lane needs it to begin, not to go on."""
    monkeypatch.setattr(reading, "TELLING_SECONDS", 0.2)
    asked = asyncio.Event()

    async def never_answered(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    thing = uuid4()
    async with consuming(database, bus, handlers()):
        monkeypatch.setattr(AIOKafkaConsumer, "commit", never_answered)
        for n in range(3):
            await send(bus, ThingHappened(thing_id=thing, n=n))
            await expect_effects(owner, thing, *range(n + 1))
        assert asked.is_set()
