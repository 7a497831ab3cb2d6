"""Positions: a consumer goes on from its own database, whatever Kafka believes."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis import inbox
from chassis.consume import Consumer
from chassis.postgres import Connection, Database
from tests.chassis.http_app import logged
from tests.conftest import Bus
from tests.support import bus as stranger
from tests.support.effects import Owner, effects_until, expect_effects, send
from tests.support.lanes import TOPIC, consuming, handlers
from tests.support.things import ThingHappened

pytestmark = pytest.mark.usefixtures("effects", "quick_retries")


def answer_slowly(monkeypatch: pytest.MonkeyPatch, *, seconds: int) -> None:
    """Let the database take so long to say where a lane goes on."""
    positions = inbox.positions

    async def slow(conn: Connection, lane: str) -> dict[tuple[str, int], inbox.Position]:
        await conn.execute("select pg_sleep($1)", seconds)
        return await positions(conn, lane)

    monkeypatch.setattr(inbox, "positions", slow)


@pytest.mark.goal("rel-R11")
@pytest.mark.goal("rel-R3")
async def test_what_kafka_brings_before_the_positions_are_known_does_not_go_before_what_was_forgotten(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restored database remembers nothing of the first five; Kafka's group goes on behind them."""
    thing = uuid4()
    for n in range(5):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    await _commit_ends(bus, f"{bus.prefix}things.urgent")
    for n in range(5, 10):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    answer_slowly(monkeypatch, seconds=1)
    async with consuming(database, bus, handlers()):
        assert await effects_until(owner, thing, 9) == list(range(10))


async def _take_two(bus: Bus, owner: Owner, thing: UUID) -> None:
    """Have two messages handled, and keep the positions of the moment between them."""
    await send(bus, ThingHappened(thing_id=thing, n=1))
    await expect_effects(owner, thing, 1)
    await owner.execute("create table things.saved as select * from things.consumer_positions")
    await send(bus, ThingHappened(thing_id=thing, n=2))
    await expect_effects(owner, thing, 1, 2)


async def _go_back(owner: Owner) -> None:
    """Let the database be as it was before the last message, in one moment, as after a failover that lost it."""
    async with owner.transaction():
        await owner.execute("delete from things.effects where id = (select max(id) from things.effects)")
        await owner.execute("delete from things.inbox where handled_at = (select max(handled_at) from things.inbox)")
        await owner.execute("delete from things.consumer_positions")
        await owner.execute("insert into things.consumer_positions select * from things.saved")


@pytest.mark.goal("rel-R11")
async def test_a_consumer_that_runs_through_a_restore_takes_again_what_was_forgotten(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()):
        await _take_two(bus, owner, thing)
        await _go_back(owner)
        await send(bus, ThingHappened(thing_id=thing, n=3))
        assert await effects_until(owner, thing, 3) == [1, 2, 3]
    assert await owner.fetchval("select count(*) from things.dead_letters") == 0


@pytest.mark.goal("rel-R11")
async def test_what_was_forgotten_is_taken_again_also_when_nothing_new_comes(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        await _take_two(bus, owner, thing)
        await consumer.look_back()
        await _go_back(owner)
        await expect_effects(owner, thing, 1)
        await consumer.look_back()
        await expect_effects(owner, thing, 1, 2)


@pytest.mark.goal("rel-R1")
async def test_an_unreadable_record_met_before_the_positions_are_known_hides_nothing_before_it(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client walks past it record by record; what is passed over then must come again."""
    things = [uuid4() for _ in range(6)]
    for n in range(2):
        for thing in things:
            await send(bus, ThingHappened(thing_id=thing, n=n))
        for partition in range(3):
            await stranger.write_undecodable(bus.bootstrap, bus.prefix + TOPIC, partition=partition)
    answer_slowly(monkeypatch, seconds=2)
    async with consuming(database, bus, handlers(), retrying=False):
        for thing in things:
            assert await effects_until(owner, thing, 1) == [0, 1]


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


@pytest.mark.goal("rel-R7")
async def test_who_lost_a_partition_and_commits_late_does_not_set_its_position_back(
    database: Database, bus: Bus, owner: Owner
) -> None:
    """What was read would count as unread until the next message comes, and be read once more after a restart."""
    held, went_on = asyncio.Event(), asyncio.Event()

    async def trouble(_n: int) -> None:
        if not went_on.is_set():
            held.set()
            raise asyncpg.LockNotAvailableError("x")  # An outage, which it waits out with the batch in hand.

    thing = uuid4()
    async with consuming(database, bus, handlers(trouble)) as late:
        await send(bus, ThingHappened(thing_id=thing, n=0))
        await held.wait()
        place = await _place(late)
        async with database.transaction() as conn:  # Its successor has taken the same message, and two more.
            await inbox.claim(conn, late.lane, [], reached=[(*place, 2, "the third")], keys=[])
        went_on.set()
        await expect_effects(owner, thing, 0)
    async with database.transaction() as conn:
        assert await inbox.positions(conn, late.lane) == {place: inbox.Position(3, "the third")}


async def test_a_batch_in_hand_while_partitions_are_given_out_anew_moves_nothing_in_memory(
    database: Database, bus: Bus, owner: Owner
) -> None:
    """It begins again before that batch, and the messages that come a second time are no sign of a topic made anew."""
    held, went_on = asyncio.Event(), asyncio.Event()

    async def trouble(n: int) -> None:
        if n == 4 and not held.is_set():
            held.set()
            await went_on.wait()

    thing = uuid4()
    with logged() as lines:
        async with consuming(database, bus, handlers(trouble)) as consumer:
            for n in range(5):
                await send(bus, ThingHappened(thing_id=thing, n=n))
            await held.wait()
            client = _client(consumer)
            consumer.revoke(client.assignment())
            await consumer.position(client, client.assignment())
            went_on.set()
            await send(bus, ThingHappened(thing_id=thing, n=5))
            await expect_effects(owner, thing, *range(6))
    assert not [line for line in lines if line["event"] == "topic_began_anew"]


async def _place(consumer: Consumer) -> tuple[str, int]:
    """Give the one (topic, partition) that has a message."""
    client = _client(consumer)
    ends = await client.end_offsets(list(client.assignment()))
    (partition,) = [partition for partition, end in ends.items() if end]
    return TOPIC, partition.partition


def _client(consumer: Consumer) -> Any:
    assert consumer._subscriber is not None
    return consumer._subscriber.consumer
