"""The consumer on real Kafka: once, in order, through outages."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis import inbox, outbox
from chassis.postgres import Connection, Database
from contracts.message import Envelope
from tests.conftest import Bus
from tests.support.effects import Owner, effects_until, expect_effects, send
from tests.support.lanes import TOPIC, consuming, handlers
from tests.support.things import ThingHappened
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("effects", "quick_retries")


@pytest.mark.goal("rel-R2")
async def test_a_message_that_comes_again_has_no_second_effect(database: Database, bus: Bus, owner: Owner) -> None:
    thing, event_id = uuid4(), str(uuid4())
    async with consuming(database, bus, handlers()):
        for _ in range(3):
            await send(bus, ThingHappened(thing_id=thing, n=1), event_id=event_id)
        await send(bus, ThingHappened(thing_id=thing, n=2))
        await expect_effects(owner, thing, 1, 2)
    assert await owner.fetchval("select count(*) from things.inbox") == 2


@pytest.mark.goal("rel-R2")
async def test_rewound_group_offsets_change_nothing_because_the_positions_are_in_the_database(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)
        group = consumer.consumer_group
    await _rewind(bus, group)
    await owner.execute("delete from things.inbox")  # As if pruned: only the position can know now.
    async with consuming(database, bus, handlers()):
        await send(bus, ThingHappened(thing_id=thing, n=2))
        assert await effects_until(owner, thing, 2) == [1, 2]


@pytest.mark.goal("rel-R11")
async def test_a_restored_database_takes_again_what_it_no_longer_remembers(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()):
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)
        await owner.execute("create table things.saved as select * from things.consumer_positions")
        await send(bus, ThingHappened(thing_id=thing, n=2))
        await expect_effects(owner, thing, 1, 2)
    await owner.execute(
        "delete from things.effects where n = 2; "
        "delete from things.inbox where handled_at = (select max(handled_at) from things.inbox); "
        "delete from things.consumer_positions; "
        "insert into things.consumer_positions select * from things.saved"
    )
    async with consuming(database, bus, handlers()):
        await expect_effects(owner, thing, 1, 2)


@pytest.mark.goal("rel-R7")
async def test_an_outage_is_waited_out_and_sets_nothing_aside(database: Database, bus: Bus, owner: Owner) -> None:
    outages = iter([asyncpg.DeadlockDetectedError("x"), asyncpg.LockNotAvailableError("x"), ConnectionResetError("x")])

    async def trouble(_n: int) -> None:
        if (outage := next(outages, None)) is not None:
            raise outage

    thing = uuid4()
    async with consuming(database, bus, handlers(trouble)):
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)
    assert await owner.fetchval("select count(*) from things.dead_letters") == 0
    assert await owner.fetchval("select count(*) from things.consumer_trials") == 0


@pytest.mark.goal("rel-R7")
async def test_connections_that_are_cut_in_the_middle_cost_nothing(database: Database, bus: Bus, owner: Owner) -> None:
    cut = asyncio.Event()

    async def trouble(n: int) -> None:
        if n == 50 and not cut.is_set():
            cut.set()
            await owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and usename = 'things_app'"
            )

    thing = uuid4()
    async with consuming(database, bus, handlers(trouble)):
        for n in range(100):
            await send(bus, ThingHappened(thing_id=thing, n=n))
        await expect_effects(owner, thing, *range(100))
    assert cut.is_set()


async def test_what_was_caused_by_a_message_names_it(database: Database, bus: Bus, owner: Owner) -> None:
    found = handlers()

    class Answered(ThingHappened, topic=ThingHappened.topic, key="thing_id"):
        pass

    @found.on(Answered, lane=found.lanes()[0])
    async def answer(conn: Connection, message: Answered, _envelope: Envelope) -> None:
        await outbox.add(conn, ThingHappened(thing_id=message.thing_id, n=2))

    event_id = str(uuid4())
    async with consuming(database, bus, found):
        await send(bus, Answered(thing_id=uuid4(), n=1), event_id=event_id)
        row = await until(
            lambda: owner.fetchrow("select headers::jsonb ->> 'ce_causationid' as cause from things.outbox"),
            what="a row",
        )
    assert row["cause"] == event_id


async def _rewind(bus: Bus, group: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bus.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(bus.prefix + TOPIC, partition) for partition in range(3)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))
    finally:
        await consumer.stop()


@pytest.mark.goal("rel-R1")
async def test_what_arrives_before_the_positions_are_known_is_not_lost(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing, failures = uuid4(), iter(range(3))
    positions = inbox.positions

    async def slow(conn: Connection, lane: str) -> dict[tuple[str, int], inbox.Position]:
        await conn.execute("select pg_sleep(0.3)")
        if next(failures, None) is not None:
            raise asyncpg.InvalidCatalogNameError("restored")
        return await positions(conn, lane)

    monkeypatch.setattr(inbox, "positions", slow)
    for n in range(20):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    async with consuming(database, bus, handlers()):
        await send(bus, ThingHappened(thing_id=thing, n=20))
        assert await effects_until(owner, thing, 20) == list(range(21))
