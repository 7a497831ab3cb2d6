"""Positions: a consumer goes on from its own database, whatever Kafka believes."""

from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis import inbox
from chassis.postgres import Connection, Database
from tests.conftest import Bus
from tests.support.effects import Owner, effects_until, send
from tests.support.lanes import TOPIC, consuming, handlers
from tests.support.things import ThingHappened

pytestmark = pytest.mark.usefixtures("effects", "quick_retries")


@pytest.mark.goal("rel-R11")
@pytest.mark.goal("rel-R3")
async def test_what_kafka_brings_before_the_positions_are_known_does_not_go_before_what_was_forgotten(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restored database remembers nothing of the first five; Kafka's group goes on behind them."""
    positions = inbox.positions

    async def slow(conn: Connection, lane: str) -> dict[tuple[str, int], inbox.Position]:
        await conn.execute("select pg_sleep(1)")
        return await positions(conn, lane)

    thing = uuid4()
    for n in range(5):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    await _commit_ends(bus, f"{bus.prefix}things.urgent")
    for n in range(5, 10):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    monkeypatch.setattr(inbox, "positions", slow)
    async with consuming(database, bus, handlers()):
        assert await effects_until(owner, thing, 9) == list(range(10))


async def _commit_ends(bus: Bus, group: str) -> None:
    """Have Kafka note for a group that it has read everything."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bus.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(bus.prefix + TOPIC, partition) for partition in range(3)]
        consumer.assign(partitions)
        await consumer.commit(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()
