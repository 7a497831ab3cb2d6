"""Ghosts: records in Kafka that the database does not know, as a restored one does not know what it lost.

A service writes to its topics from its outbox alone, and what was sent stays in the archive: so a record that is in
neither was committed and published in a time that the database has lost.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from chassis import topics
from chassis.arrival import Arrival
from chassis.clients import AIOKafkaConsumer
from chassis.errors import CannotLook
from chassis.outbox import LONG_SECONDS
from chassis.postgres import Database

CHUNK = 20_000
MARGIN = timedelta(hours=1)
"""How far Kafka's clock, which a record is found by, may be behind the database's, which the archive is written by."""
KAFKA_SECONDS = 10.0
SILENT_SECONDS = 30.0
"""How long nothing may come of partitions that hold more: then a leader, or a topic, is gone in the middle."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """A record that the database does not know."""

    arrival: Arrival
    published_at: datetime

    @property
    def type(self) -> str | None:
        return self.arrival.envelope.type if self.arrival.envelope else None


@dataclass(slots=True)
class Looked:
    """How many records were looked at so far."""

    records: int = 0


async def find(  # noqa: PLR0913 -- where to look, and from when.
    database: Database, bootstrap: str, names: Iterable[str], *, since: datetime, prefix: str = "", looked: Looked
) -> AsyncIterator[Ghost]:
    """Give the ghosts in topics since a time, up to their present ends, in the order of each partition.

    The archive must cover that time. Raises `CannotLook`.
    """
    async with _reading(bootstrap) as consumer:
        async for records in _read(consumer, [prefix + name for name in names], since):
            found = [(Arrival.of(record, prefix), record.timestamp) for record in records]
            looked.records += len(found)
            async with database.transaction() as conn:
                known = await known_of(conn, [arrival for arrival, _ in found], since=since)
            for arrival, milliseconds in found:
                if id_of(arrival) not in known:
                    yield Ghost(arrival, _moment(milliseconds))


SELECT_KNOWN = """
select message_id from outbox where message_id in (select unnest($1::uuid[]))
union all
select message_id from outbox_published where message_id in (select unnest($1::uuid[])) and published_at >= $2"""


async def known_of(
    conn: "asyncpg.Connection[asyncpg.Record]", arrivals: Sequence[Arrival], *, since: datetime
) -> set[UUID]:
    """Give the ids of those that this database owes or has sent since a time, in the caller's transaction."""
    ids = [message_id for arrival in arrivals if (message_id := id_of(arrival)) is not None]
    await conn.execute("set local statement_timeout = '600s'")
    rows = await conn.fetch(SELECT_KNOWN, ids, since - MARGIN, timeout=LONG_SECONDS)
    return {row[0] for row in rows}


async def last_records(bootstrap: str, names: Iterable[str], prefix: str = "") -> list[tuple[Arrival, datetime]]:
    """Give the last record of each partition that has one; raises `CannotLook`."""
    async with _reading(bootstrap) as consumer:
        found = []
        async for records in _read(consumer, [prefix + name for name in names], since=None):
            found += [(Arrival.of(record, prefix), _moment(record.timestamp)) for record in records]
        return found


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def id_of(arrival: Arrival) -> UUID | None:
    """Give the id by which a message of ours is known."""
    try:
        return UUID(arrival.envelope.id) if arrival.envelope else None
    except ValueError:
        return None


@asynccontextmanager
async def _reading(bootstrap: str) -> AsyncIterator[Any]:
    """Open a client in no group, that commits nothing."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id="samband-command",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=round(KAFKA_SECONDS * 1000),
    )
    try:
        await topics.start(client, bootstrap)
        yield client
    except KafkaError as error:
        raise CannotLook(f"Kafka at {bootstrap} does not answer as it should: {type(error).__name__}") from None
    except UnicodeDecodeError:
        raise CannotLook("a record has a header whose name is not UTF-8: no service of ours wrote it") from None
    finally:
        await client.stop()


async def _read(consumer: Any, names: Sequence[str], since: datetime | None) -> AsyncIterator[list[Any]]:
    """Give records in chunks, from a time on or the last of each partition, up to the ends as they are now."""
    partitions = await _partitions(consumer, names)
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    starts = await _starts(consumer, partitions, ends, since)
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    left = {partition for partition in partitions if starts[partition] < ends[partition]}
    consumer.pause(*(set(partitions) - left))
    chunk: list[Any] = []
    reached, moved_at = starts, time.monotonic()
    while left:
        for partition, records in (await consumer.getmany(*left, timeout_ms=500)).items():
            chunk += [record for record in records if record.offset < ends[partition]]
        now = {partition: await _position(consumer, partition) for partition in left}
        if now != reached:
            reached, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > SILENT_SECONDS:
            raise CannotLook(f"Kafka gives no more of {min(left).topic}, although more is there")
        left = {partition for partition, offset in now.items() if offset < ends[partition]}
        if len(chunk) >= CHUNK or (chunk and not left):
            yield chunk
            chunk = []


async def _position(consumer: Any, partition: TopicPartition) -> int:
    """Give where the client is; raises `CannotLook` where it no longer knows, for the topic is gone."""
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            return int(await consumer.position(partition))
    except TimeoutError:
        raise CannotLook(f"Kafka no longer tells of {partition.topic}") from None


async def _partitions(consumer: Any, names: Sequence[str]) -> list[TopicPartition]:
    await consumer._client.set_topics(names)  # noqa: SLF001 -- no public way to ask for topics in no group.
    found = []
    for name in names:
        numbers: set[int] | None = consumer.partitions_for_topic(name)
        if not numbers:
            raise CannotLook(f"the topic {name} does not exist, or may not be read")
        found += [TopicPartition(name, number) for number in sorted(numbers)]
    return found


async def _starts(
    consumer: Any, partitions: Sequence[TopicPartition], ends: dict[TopicPartition, int], since: datetime | None
) -> dict[TopicPartition, int]:
    if since is None:
        begins = await consumer.beginning_offsets(partitions)
        return {partition: max(begins[partition], ends[partition] - 1) for partition in partitions}
    milliseconds = round(since.timestamp() * 1000)
    places = await consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
    return {partition: places[partition].offset if places[partition] else ends[partition] for partition in partitions}
