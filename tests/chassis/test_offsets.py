"""Kafka's own idea of where a group is: it tells of what waits, and helps where the database's place is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.postgres import Database
from tests.conftest import Bus
from tests.support.effects import Owner, effects_of, expect_effects, send
from tests.support.lanes import TOPIC, consuming, handlers
from tests.support.things import ThingHappened
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("effects")


@asynccontextmanager
async def administering(bus: Bus) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bus.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def committed(bus: Bus, group: str) -> int:
    """Count what Kafka takes for read by the group."""
    async with administering(bus) as admin:
        return sum(max(0, place.offset) for place in (await admin.list_consumer_group_offsets(group)).values())


@pytest.mark.goal("rel-R1")
async def test_a_message_counts_as_waiting_until_it_is_handled(database: Database, bus: Bus, owner: Owner) -> None:
    """Operators, and what starts more workers, go by what the group has not read yet."""
    begun, thing = asyncio.Event(), uuid4()

    async def outage(_n: int) -> None:
        begun.set()
        raise ConnectionResetError

    async with consuming(database, bus, handlers(outage)) as consumer:
        await send(bus, ThingHappened(thing_id=thing, n=1))
        async with asyncio.timeout(20):
            await begun.wait()
    assert await committed(bus, consumer.consumer_group) == 0
    async with consuming(database, bus, handlers()):
        await expect_effects(owner, thing, 1)
    assert await committed(bus, consumer.consumer_group) == 1


@pytest.mark.goal("rel-R1")
async def test_who_was_away_longer_than_kafka_keeps_messages_goes_on_with_the_oldest_that_is_left(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()):
        await send(bus, ThingHappened(thing_id=thing, n=0))
        await expect_effects(owner, thing, 0)
    for n in (1, 2, 3):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    partition = await owner.fetchval("select partition from things.consumer_positions where next_offset = 1")
    async with administering(bus) as admin:
        await admin.delete_records({TopicPartition(bus.prefix + TOPIC, partition): RecordsToDelete(3)})

    async def two() -> list[int] | None:
        await send(bus, ThingHappened(thing_id=thing, n=4))
        effects = await effects_of(owner, thing)
        return effects[:2] if len(effects) > 1 else None

    async with consuming(database, bus, handlers()):
        assert await until(two, what="another effect") == [0, 3]
