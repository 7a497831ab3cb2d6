"""A topic that was deleted and made again is read from its beginning, and one that was not goes on where it was left."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis import consume
from chassis.arrival import Arrival
from chassis.consume import Consumer
from chassis.continuity import ENDS_SECONDS, Continuity, Partition, name
from chassis.handlers import Lane
from chassis.inbox import Position
from chassis.postgres import Database
from contracts.topics import ACCOUNTS
from deploy.local.topics import Topic
from tests.chassis.http_app import logged
from tests.conftest import Bus
from tests.support import bus as stranger
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import TOPIC, consuming, handlers, headers
from tests.support.things import ThingHappened

pytestmark = pytest.mark.usefixtures("effects", "quick_retries")


async def make_anew(bus: Bus) -> None:
    await stranger.make_anew(bus.bootstrap, Topic(bus.prefix + TOPIC, 3, ACCOUNTS.config()))


async def read_some(database: Database, bus: Bus, owner: Owner, thing: UUID, count: int) -> list[str]:
    """Send that many messages and have them handled; gives their ids."""
    ids = [str(uuid4()) for _ in range(count)]
    async with consuming(database, bus, handlers()):
        for n, event_id in enumerate(ids):
            await send(bus, ThingHappened(thing_id=thing, n=n), event_id=event_id)
        await expect_effects(owner, thing, *range(count))
    return ids


def anew(lines: Sequence[Any]) -> list[tuple[str, int]]:
    return [(line["topic"], line["position"]) for line in lines if line["event"] == "topic_began_anew"]


@pytest.mark.goal("rel-R1")
@pytest.mark.parametrize("count", [1, 2, 5], ids=["fewer than were read", "as many", "more than were read"])
async def test_nothing_of_a_topic_that_was_made_anew_is_passed_over(
    count: int, database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    await read_some(database, bus, owner, thing, 2)
    await make_anew(bus)
    for n in range(count):
        await send(bus, ThingHappened(thing_id=thing, n=10 + n))
    with logged() as lines:
        async with consuming(database, bus, handlers()):
            await expect_effects(owner, thing, 0, 1, *range(10, 10 + count))
    assert anew(lines) == [(TOPIC, 2)]


@pytest.mark.goal("rel-R1")
async def test_what_was_sent_again_into_a_topic_made_anew_is_known_and_does_not_hide_what_is_new(
    database: Database, bus: Bus, owner: Owner
) -> None:
    """The message before the position is a known one, but not the one that lay there."""
    thing = uuid4()
    ids = await read_some(database, bus, owner, thing, 2)
    await make_anew(bus)
    await send(bus, ThingHappened(thing_id=thing, n=7))
    for n, event_id in enumerate(ids):
        await send(bus, ThingHappened(thing_id=thing, n=n), event_id=event_id)
    async with consuming(database, bus, handlers()):
        await expect_effects(owner, thing, 0, 1, 7)


@pytest.mark.goal("rel-R2")
async def test_after_a_restart_the_last_message_is_seen_again_and_has_no_second_effect(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    await read_some(database, bus, owner, thing, 2)
    await owner.execute("delete from things.inbox")  # It is not the inbox that knows it.
    with logged() as lines:
        async with consuming(database, bus, handlers()):
            await send(bus, ThingHappened(thing_id=thing, n=2))
            await expect_effects(owner, thing, 0, 1, 2)
    assert anew(lines) == []


@pytest.mark.goal("rel-R1")
async def test_a_topic_that_is_made_anew_under_its_reader_is_read_from_its_beginning(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consume, "METADATA_MS", 1_000)
    thing = uuid4()
    with logged() as lines:
        async with consuming(database, bus, handlers()):
            for n in range(3):
                await send(bus, ThingHappened(thing_id=thing, n=n))
            await expect_effects(owner, thing, 0, 1, 2)
            await make_anew(bus)
            await send(bus, ThingHappened(thing_id=thing, n=10))
            await expect_effects(owner, thing, 0, 1, 2, 10)
    assert anew(lines) == [(TOPIC, 3)]
    assert await owner.fetchval("select max(next_offset) from things.consumer_positions") == 1


async def test_a_position_that_was_set_back_by_hand_is_believed(database: Database, bus: Bus, owner: Owner) -> None:
    thing = uuid4()
    await read_some(database, bus, owner, thing, 3)
    await owner.execute("update things.consumer_positions set next_offset = 1 where next_offset = 3")
    with logged() as lines:
        async with consuming(database, bus, handlers()):
            await send(bus, ThingHappened(thing_id=thing, n=3))
            await expect_effects(owner, thing, 0, 1, 2, 3)
    assert anew(lines) == []


def arrival(offset: int, value: bytes = b"x") -> Arrival:
    return Arrival("topic", 0, offset, None, value, (), fault="x")


def taken(position: Position, *offsets: int) -> tuple[list[int], list[Partition]]:
    """Give which offsets go on, and which partitions are read anew."""
    return proven(position, *map(arrival, offsets))


def proven(position: Position, *arrivals: Arrival) -> tuple[list[int], list[Partition]]:
    rewound: list[Partition] = []
    continuity = Continuity(rewound.append)
    continuity.expect(("topic", 0), position)
    return [each.offset for each in continuity.prove(arrivals)], rewound


def test_the_last_message_is_passed_over_where_it_still_lies_and_what_is_behind_it_goes_on() -> None:
    assert taken(Position(8, name(arrival(7))), 7, 8, 9) == ([8, 9], [])


def test_all_of_a_batch_is_read_anew_where_another_message_lies_there() -> None:
    assert taken(Position(8, "another"), 7, 8, 9) == ([], [("topic", 0)])


def test_a_message_that_this_release_reads_and_the_one_before_could_not_is_the_same_message() -> None:
    record = ConsumerRecord("topic", 0, 7, 0, 0, b"k", b"{}", None, 0, 0, tuple(headers("auth.ThingHappened.v1")))
    read = Arrival.of(record)
    assert read.envelope is not None
    unread = replace(read, envelope=None, fault="x")
    for remembered in (name(read), name(unread), "kafka:topic 0:7"):  # The last is what the release before wrote.
        assert proven(Position(8, remembered), read, arrival(8)) == ([8], [])


def test_another_message_that_cannot_be_read_either_is_another_message() -> None:
    assert proven(Position(8, name(arrival(7))), arrival(7, b"another")) == ([], [("topic", 0)])


def test_the_name_of_a_message_that_cannot_be_read_is_the_same_in_every_release() -> None:
    assert name(arrival(7)) == "sha256:85c7e58cbb2b18cc7aa04fef6809af1b20b69447826e2fd70ca6930aff358faf"


def test_a_record_of_which_nothing_was_seen_has_no_name_and_proves_nothing() -> None:
    unseen = Arrival("topic", 0, 7, None, None, (), fault="x")
    assert name(unseen) is None
    assert proven(Position(8, name(unseen)), arrival(8)) == ([8], [])


def test_what_comes_after_the_client_went_back_to_the_beginning_goes_on() -> None:
    assert taken(Position(8, "another"), 0, 1, 2) == ([0, 1, 2], [])


def test_a_last_message_that_retention_took_proves_nothing() -> None:
    assert taken(Position(8, "another"), 20, 21) == ([20, 21], [])


@pytest.mark.parametrize(("end", "position"), [(None, 8), (8, 8), (9, 8), (7, 0), (0, 0)])
def test_a_position_behind_the_end_is_none(end: int | None, position: int) -> None:
    extent = None if end is None else (0, end)
    checked = Continuity(lambda _: None).checked(("topic", 0), Position(8, "x"), extent)
    assert checked.next_offset == position


def test_a_partition_that_went_to_another_is_not_expected_any_more() -> None:
    continuity = Continuity(lambda _: None)
    assert continuity.expect(("topic", 0), Position(8, "another")) == 7
    continuity.forget(("topic", 0))
    assert [each.offset for each in continuity.prove([arrival(7)])] == [7]


class FrozenLeader:
    """Stands in for Kafka's client while the leader of a partition does not answer."""

    def __init__(self) -> None:
        self.sought: dict[TopicPartition, int] = {}

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, _partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Answer never."""
        await asyncio.Event().wait()
        return {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Be told where to read on."""
        self.sought[partition] = offset


@pytest.mark.goal("rel-R7")
async def test_a_leader_that_does_not_answer_costs_a_third_of_the_session_and_then_the_known_position_holds(
    database: Database, owner: Owner
) -> None:
    """No heartbeat goes out while it is waited for: with the limit of a long session a short one would be lost."""
    await owner.execute("insert into things.consumer_positions values ('urgent', $1, 0, 8)", TOPIC)
    consumer = Consumer(database, handlers(), Lane.URGENT, bootstrap="unused", session_seconds=0.5)
    client, known, unread = FrozenLeader(), TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
    started = time.monotonic()
    await consumer.position(client, [known, unread])
    assert time.monotonic() - started < ENDS_SECONDS / 2
    assert client.sought == {known: 8, unread: 0}
    assert consumer.assigned.is_set()


@pytest.mark.goal("rel-R1")
async def test_messages_that_retention_took_before_they_were_read_are_told_of_and_the_rest_is_read(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    await read_some(database, bus, owner, thing, 2)
    for n in range(2, 6):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    admin = AIOKafkaAdminClient(bootstrap_servers=bus.bootstrap)
    await admin.start()
    place = await owner.fetchval("select partition from things.consumer_positions")
    await admin.delete_records({TopicPartition(bus.prefix + TOPIC, place): RecordsToDelete(5)})
    await admin.close()
    with logged() as lines:
        async with consuming(database, bus, handlers()):
            await expect_effects(owner, thing, 0, 1, 5)
    told = [line for line in lines if line["event"] == "messages_were_gone"]
    assert [(line["topic"], line["partition"], line["count"]) for line in told] == [(TOPIC, place, 3)]
    assert told[0]["log_level"] == "error"
