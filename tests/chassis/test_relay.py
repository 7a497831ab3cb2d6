"""The relay on real Kafka: order, holes, holds, hand-overs."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from chassis import outbox
from chassis.kafka import Outcome, Sender
from chassis.postgres import Database
from chassis.relay import Relay
from contracts.topics import ACCOUNTS, CODES
from deploy.local.topics import Topic
from tests.conftest import Bus, Clone
from tests.support import bus as stranger
from tests.support.things import happened, whispered
from tests.support.waiting import until

MakeRelay = Callable[..., Relay]


@pytest.fixture
def make_relay(clone: Clone, bus: Bus) -> MakeRelay:
    def make(*, bootstrap: str = bus.bootstrap, archive_days: int = 7) -> Relay:
        return Relay(
            clone.urls("things").app, "things", Sender(bootstrap, "test", bus.prefix), archive_days=archive_days
        )

    return make


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield
    finally:
        for relay in relays:
            relay.stop()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)


async def owe(database: Database, *numbers: int, thing: object = None) -> None:
    async with database.transaction() as conn:
        for n in numbers:
            await outbox.add(conn, happened(n, thing))  # type: ignore[arg-type]


def numbers(records: list[object]) -> list[int]:
    return [json.loads(record.value)["n"] for record in records]  # type: ignore[attr-defined]


async def is_empty(owner: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return bool(await owner.fetchval("select not exists (select from things.outbox)"))


@pytest.mark.goal("rel-R3")
async def test_messages_of_a_key_arrive_in_order_on_one_partition(
    database: Database, bus: Bus, make_relay: MakeRelay
) -> None:
    thing = uuid4()
    await owe(database, *range(50), thing=thing)
    async with running(make_relay()), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
        records = await stranger.take(reader, 50)
    assert numbers(records) == list(range(50))
    assert len({record.partition for record in records}) == 1


async def test_a_record_is_a_cloudevent_in_binary_mode(database: Database, bus: Bus, make_relay: MakeRelay) -> None:
    from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
    from cloudevents.core.formats.json import JSONFormat

    await owe(database, 7)
    async with running(make_relay()), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
        (record,) = await stranger.take(reader, 1)
    event = from_binary_event(
        KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value), JSONFormat()
    )
    assert event.get_type() == "auth.ThingHappened.v1"
    assert event.get_source() == "/services/things"
    assert event.get_subject() == record.key.decode()
    assert event.get_time() is not None
    data = event.get_data()
    assert isinstance(data, dict)
    assert data["n"] == 7
    sequence = event.get_extension("sequence")
    assert len(sequence) == 20
    assert int(sequence) > 0


async def test_it_is_woken_by_the_commit_and_not_by_the_poll(
    database: Database, bus: Bus, make_relay: MakeRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.relay.POLL_SECONDS", 3600.0)
    relay = make_relay()
    database.bell.hear(outbox.BELL, relay.wake)
    async with running(relay), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
        await owe(database, 1)
        await stranger.take(reader, 1)
        await owe(database, 2)
        assert numbers(await stranger.take(reader, 1)) == [2]


async def test_what_kafka_acknowledged_leaves_the_outbox_for_the_archive(
    database: Database, bus: Bus, make_relay: MakeRelay, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await owe(database, 1, 2)
    async with database.transaction() as conn:
        await outbox.add(conn, whispered("canary"))
    async with running(make_relay()):
        await until(lambda: is_empty(owner), what="an empty outbox")
    rows = await owner.fetch(
        "select type, payload is null as bare, headers is null as headless from things.outbox_published"
    )
    assert sorted((row["type"], row["bare"], row["headless"]) for row in rows) == [
        ("auth.ThingHappened.v1", False, False),
        ("auth.ThingHappened.v1", False, False),
        ("auth.ThingWhispered.v1", True, True),
    ]


async def test_without_archive_days_nothing_is_kept(
    database: Database, make_relay: MakeRelay, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await owe(database, 1)
    async with running(make_relay(archive_days=0)):
        await until(lambda: is_empty(owner), what="an empty outbox")
    assert await owner.fetchval("select count(*) from things.outbox_published") == 0


@pytest.mark.goal("rel-R6")
async def test_transactions_that_commit_in_the_opposite_order_of_their_ids_all_arrive(
    database: Database, bus: Bus, make_relay: MakeRelay
) -> None:
    async with running(make_relay()), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
        async with database.transaction() as held:
            await outbox.add(held, happened(-1))
            for n in range(20):
                await owe(database, n)
            early = await stranger.take(reader, 20)
        late = await stranger.take(reader, 1)
    assert sorted(numbers(early)) == list(range(20))
    assert numbers(late) == [-1]


async def test_a_message_that_kafka_refuses_holds_its_own_key_and_nobody_elses(
    database: Database, bus: Bus, make_relay: MakeRelay, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await stranger.make_anew(bus.bootstrap, Topic(bus.prefix + ACCOUNTS.name, 3, {"max.message.bytes": "2000"}))
    large, others = uuid4(), [uuid4() for _ in range(5)]
    async with database.transaction() as conn:
        await outbox.add(conn, happened(0, large, note=secrets.token_hex(4_000)))
        await outbox.add(conn, happened(1, large))
        for thing in others:
            await outbox.add(conn, happened(2, thing))
    async with running(make_relay()), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
        records = await stranger.take(reader, 5)
        assert {record.key.decode() for record in records} == {str(thing) for thing in others}
        waiting = await owner.fetchval("select count(*) from things.outbox where key = $1", str(large))
        assert waiting == 2
        await _let_pass(bus, 1_000_000)
        assert numbers(await stranger.take(reader, 2)) == [0, 1]


async def test_a_topic_that_does_not_exist_holds_up_no_other_topic(
    database: Database, bus: Bus, make_relay: MakeRelay, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await owner.execute(
        "insert into things.outbox (message_id, topic, key, type, headers, payload, keeps_payload) "
        "values (uuidv7(), 'no.such.v1', 'k', 'no.Such.v1', '{}', 'x', true)"
    )
    await owe(database, 1)
    async with running(make_relay()), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
        assert numbers(await stranger.take(reader, 1)) == [1]
        assert await owner.fetchval("select count(*) from things.outbox where topic = 'no.such.v1'") == 1


@pytest.mark.goal("rel-R1")
async def test_while_kafka_is_away_nothing_is_lost_and_the_backlog_drains_when_it_is_back(
    database: Database, bus: Bus, make_relay: MakeRelay, unused_tcp_port: int
) -> None:
    """Kafka's address leads nowhere at first; then a forwarder to the real broker opens there."""
    thing = uuid4()
    away = make_relay(bootstrap=f"127.0.0.1:{unused_tcp_port}")
    async with running(away):
        await owe(database, *range(100), thing=thing)
        async with (
            stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader,
            _forwarding(unused_tcp_port, bus.bootstrap),
        ):
            assert numbers(await stranger.take(reader, 100)) == list(range(100))


async def test_one_of_two_leads_and_the_other_takes_over_when_its_connection_is_cut(
    database: Database, bus: Bus, make_relay: MakeRelay, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    leaders = (
        "select distinct a.pid from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.granted "
        "and a.application_name = 'samband things relay' and a.datname = current_database()"
    )
    async with (
        running(make_relay(), make_relay()),
        stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader,
    ):
        await until(lambda: owner.fetchval(leaders), what="a leader")
        assert len(await owner.fetch(leaders)) == 1
        first = await owner.fetchval(leaders)
        await owner.execute("select pg_terminate_backend($1)", first)
        await owe(database, 1)
        assert numbers(await stranger.take(reader, 1)) == [1]
        assert await owner.fetchval(leaders) != first


async def test_a_connection_that_ends_in_the_middle_of_a_command_is_replaced(
    database: Database, bus: Bus, make_relay: MakeRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's good-bye may find the client between two states; what it then raises is a failure of its own."""
    cycle, broken = outbox.cycle, iter([asyncpg.InternalClientError("cannot switch to state 12")])

    async def break_once(*args: Any, **kwargs: Any) -> list[outbox.Owed]:
        if (error := next(broken, None)) is not None:
            raise error
        return await cycle(*args, **kwargs)

    monkeypatch.setattr(outbox, "cycle", break_once)
    async with running(make_relay()), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
        await owe(database, 1)
        assert numbers(await stranger.take(reader, 1)) == [1]
    assert next(broken, None) is None


async def test_the_server_ends_the_session_of_a_leader_that_is_frozen(make_relay: MakeRelay) -> None:
    async with make_relay().leadership() as conn:
        assert await conn.fetchval("show idle_session_timeout") == "15s"
        assert await conn.fetchval("show synchronous_commit") == "off"


async def _let_pass(bus: Bus, size: int) -> None:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    admin = AIOKafkaAdminClient(bootstrap_servers=bus.bootstrap)
    await admin.start()
    try:
        topic = bus.prefix + ACCOUNTS.name
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])
    finally:
        await admin.close()


@asynccontextmanager
async def _forwarding(port: int, bootstrap: str) -> AsyncIterator[None]:
    host, _, target = bootstrap.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(target))
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def test_a_topic_without_enough_replicas_holds_up_no_other_topic_and_goes_on_in_order(
    database: Database,
    bus: Bus,
    clone: Clone,
    monkeypatch: pytest.MonkeyPatch,
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    sick, tried, send = True, asyncio.Event(), Sender.send

    async def send_or_not(self: Sender, topic: str, partition: int, rows: Sequence[outbox.Owed]) -> tuple[Outcome, int]:
        if topic == ACCOUNTS.name and sick:
            tried.set()
            return Outcome.UNKNOWN, len(rows)
        return await send(self, topic, partition, rows)

    monkeypatch.setattr(Sender, "send", send_or_not)
    thing = uuid4()
    relay = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", bus.prefix))
    async with database.transaction() as conn:
        await outbox.add(conn, happened(0, thing))
        await outbox.add(conn, whispered("one"))
    async with (
        running(relay),
        stranger.reading(bus.bootstrap, *(bus.prefix + t.name for t in (ACCOUNTS, CODES))) as reader,
    ):
        (record,) = await stranger.take(reader, 1)
        assert record.topic == bus.prefix + CODES.name
        assert tried.is_set()
        async with database.transaction() as conn:
            await outbox.add(conn, happened(1, thing))
            await outbox.add(conn, whispered("two"))
        (record,) = await stranger.take(reader, 1)
        assert record.topic == bus.prefix + CODES.name
        sick = False
        await until(lambda: owner.fetchval("select count(*) = 0 from things.outbox"), what="an empty outbox")
        assert numbers(await stranger.take_to_the_end(reader)) == [0, 1]


async def test_a_long_reader_of_the_archive_does_not_keep_messages_from_going_out(
    database: Database, bus: Bus, make_relay: MakeRelay, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Its days cannot be turned over while somebody reads; sending goes on all the same."""
    await owner.execute(f"drop table things.outbox_published_{_in_two_days()}")
    async with owner.transaction():
        await owner.execute("lock table things.outbox_published in access share mode")
        async with running(make_relay()), stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
            await owe(database, 1)
            assert numbers(await stranger.take(reader, 1)) == [1]


def _in_two_days() -> str:
    return f"{datetime.now(UTC).date() + timedelta(days=2):%Y%m%d}"
