"""Outbox: a message is owed in the transaction that made it true, and sent from nowhere else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from chassis import telemetry, tracing
from chassis.errors import Kind, Refusal
from chassis.postgres import Connection
from chassis.sealing import Keyring, Place
from contracts.message import Headers, Message
from contracts.privacy import Sealed

BELL = "outbox"
LONG_SECONDS = 600.0
"""The most for a statement of an operator that reads the archive from end to end."""

INSERT_MESSAGE = """
insert into outbox (message_id, topic, key, type, headers, payload, keeps_payload) values ($1, $2, $3, $4, $5, $6, $7)"""


class MessageTooLarge(Refusal):
    """The message is too large to be sent.

    It has {size} bytes; at most {limit} can be sent. Nothing was saved.
    """

    kind = Kind.TOO_LARGE


async def add(conn: Connection, message: Message, *, message_id: UUID | None = None) -> UUID:
    """Owe a message: it is published if, and only if, the caller's transaction commits. Returns its id (`ce_id`).

    `message_id` is that of a message that was owed before and is to be sent again: readers that had it drop it.

    Seals the sealed fields to their readers. To keep order per key, lock or insert the aggregate's row first: then
    outbox ids of one key follow its commits. Raises `MessageTooLarge`, or `NoKeyFor` when a reader's key is missing.
    """
    message_id = message_id or uuid7()
    await conn.execute(INSERT_MESSAGE, *_row(conn, message, message_id))
    _note(conn, message)
    return message_id


async def add_all(conn: Connection, messages: Sequence[Message]) -> None:
    """Owe many messages, in this order, as `add` does one, and in one round trip."""
    await conn.executemany(INSERT_MESSAGE, [_row(conn, message, uuid7()) for message in messages])
    for message in messages:
        _note(conn, message)


def _note(conn: Connection, message: Message) -> None:
    conn.context.rings.add(BELL)
    telemetry.OUTBOX_WRITTEN.labels(type=message.type).inc()


def _row(conn: Connection, message: Message, message_id: UUID) -> tuple[object, ...]:
    """Seal a message and give its row."""
    identity = conn.context.identity
    if identity is None:
        raise RuntimeError("outbox.add needs a connection of Database.transaction()")
    payload = encode(message, str(message_id), identity.keyring)
    if len(payload) > identity.largest_message:
        raise MessageTooLarge(size=len(payload), limit=identity.largest_message)
    headers = Headers(
        message_id,
        identity.service,
        message.type,
        message.key,
        causationid=conn.context.cause,
        traceparent=tracing.traceparent(),
    )
    written = json.dumps(headers.as_dict())
    return message_id, message.topic.name, message.key, message.type, written, payload, not message.holds_secrets


def encode(message: Message, message_id: str, keyring: Keyring) -> bytes:
    """Write a message as JSON, its sealed fields sealed to their readers; raises `NoKeyFor`."""
    sealed: dict[str, Sealed[Any]] = {
        name: Sealed.from_token(keyring.seal(field.clear, message.readers[name], Place(message_id, message.type, name)))
        for name, field in message.seals().items()
    }
    return (message.model_copy(update=sealed) if sealed else message).model_dump_json().encode()


@dataclass(frozen=True, slots=True)
class Owed:
    """A row of the outbox."""

    id: int
    message_id: UUID
    topic: str
    key: str
    headers: dict[str, str]
    payload: bytes
    created_at: datetime

    @property
    def traceparent(self) -> str | None:
        """Name the trace in which it was written, also when it is sent after a restart, or again from the archive."""
        return self.headers.get("traceparent")

    def kafka_headers(self) -> list[tuple[str, bytes]]:
        """Give all headers as Kafka takes them; a replayed message keeps its first time and sequence."""
        headers = {"ce_time": self.created_at.isoformat(), "ce_sequence": f"{self.id:020d}"} | self.headers
        return [(name, value.encode()) for name, value in headers.items()]


# One statement a cycle: what Kafka acknowledged leaves the outbox for the archive, and the next messages are read. There
# is no cursor, so a row whose transaction commits late is never skipped. The parts of a statement share one snapshot,
# so the rows just deleted must be left out by name; `not in (select …)` is a hashed look-up, `<> all($1)` a search.
CYCLE = """
with gone as (delete from outbox where id = any($1::bigint[]) returning *),
kept as (
    insert into outbox_published (id, message_id, topic, key, type, headers, payload, created_at)
    select id, message_id, topic, key, type,
        case when keeps_payload then headers end, case when keeps_payload then payload end, created_at
    from gone where $2
)
select id, message_id, topic, key, headers, payload, created_at from outbox
where id not in (select id from gone)
  and (topic, key) not in (select * from unnest($3::text[], $4::text[]))
  and topic not in (select unnest($5::text[]))
order by id limit $6"""


async def cycle(  # noqa: PLR0913 -- one argument for each part of the one statement.
    conn: "asyncpg.Connection[asyncpg.Record]",
    acknowledged: list[int],
    *,
    archive: bool,
    held_keys: list[tuple[str, str]],
    held_topics: list[str],
    limit: int,
) -> list[Owed]:
    """Move what was acknowledged to the archive and give the next messages in order, passing over what is held."""
    topics, keys = [topic for topic, _ in held_keys], [key for _, key in held_keys]
    rows = await conn.fetch(CYCLE, acknowledged, archive, topics, keys, held_topics, limit)
    return [Owed(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6]) for row in rows]


SELECT_DEPTH = "select count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8 from outbox"


async def depth(conn: "asyncpg.Connection[asyncpg.Record]") -> tuple[int, float]:
    """Count the messages that wait, and give the age of the oldest in seconds."""
    row = await conn.fetchrow(SELECT_DEPTH)
    assert row is not None  # noqa: S101 -- an aggregate always gives a row.
    return row[0], row[1]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The messages of a topic that wait."""

    topic: str
    count: int
    oldest_seconds: float


SELECT_WAITING = """
select topic, count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8
from outbox group by topic order by topic"""


async def waiting(conn: Connection) -> list[Waiting]:
    """Count the messages that wait, by topic."""
    return [Waiting(*row) for row in await conn.fetch(SELECT_WAITING)]


@dataclass(frozen=True, slots=True)
class Held:
    """What Kafka refuses, as the leading relay noted it: a key, or where that is None the whole topic."""

    topic: str
    key: str | None
    refusals: int
    held_at: datetime


# One statement: a hold that goes on keeps the time when it began.
REPLACE_HOLDS = """
with present as (
    select * from unnest($1::text[], $2::text[], $3::integer[]) as hold (topic, key, refusals)
),
gone as (
    delete from outbox_holds o
    where not exists (select from present p where p.topic = o.topic and p.key is not distinct from o.key)
)
insert into outbox_holds (topic, key, refusals) select * from present
on conflict on constraint outbox_holds_once do update set refusals = excluded.refusals"""


async def replace_holds(
    conn: "asyncpg.Connection[asyncpg.Record]", holds: Mapping[tuple[str, str | None], int]
) -> None:
    """Note what is held now, with how often Kafka has refused it; only the leader does."""
    topics, keys = [topic for topic, _ in holds], [key for _, key in holds]
    await conn.execute(REPLACE_HOLDS, topics, keys, list(holds.values()))


SELECT_HOLDS = "select topic, key, refusals, held_at from outbox_holds order by held_at, topic, key"


async def holds(conn: Connection) -> list[Held]:
    """Give what the leading relay holds back."""
    return [Held(*row) for row in await conn.fetch(SELECT_HOLDS)]


@dataclass(frozen=True, slots=True)
class Leader:
    """The session whose lock says that it leads; a role sees the sessions of its own."""

    pid: int
    address: str | None
    since: datetime


SELECT_LEADER = """
with lock as (select hashtextextended('relay ' || current_schema, 0) as number)
select a.pid, host(a.client_addr), a.backend_start
from pg_locks l join pg_stat_activity a on a.pid = l.pid, lock
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and l.classid::bigint = (lock.number >> 32) & 4294967295 and l.objid::bigint = lock.number & 4294967295"""


async def leader(conn: Connection) -> Leader | None:
    """Give the relay that leads, if one does."""
    row = await conn.fetchrow(SELECT_LEADER)
    return None if row is None else Leader(*row)


TURN_OVER = "select outbox_turn_over($1)"


async def turn_over(conn: "asyncpg.Connection[asyncpg.Record]", keep_days: int) -> int:
    """Make the archive's next day partitions and drop those past their days; gives how many were dropped."""
    return int(await conn.fetchval(TURN_OVER, keep_days))


# A day's partition says by its name from when it is; the first day that is left is the first that can be sent again.
SELECT_ARCHIVE_BEGIN = """
select min(to_date(right(c.relname, 8), 'YYYYMMDD'))::timestamp at time zone 'UTC'
from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'outbox_published'::regclass"""

SELECT_ARCHIVED_TYPES = "select distinct type from outbox_published order by type"


async def archive_begins(conn: Connection) -> datetime | None:
    """Give the first moment that the archive covers; None before the first relay has led."""
    begin: datetime | None = await conn.fetchval(SELECT_ARCHIVE_BEGIN)
    return begin


async def archived_types(conn: Connection) -> list[str]:
    """Give the types that the archive holds; reads all of it."""
    await conn.execute("set local statement_timeout = '600s'")
    return [row[0] for row in await conn.fetch(SELECT_ARCHIVED_TYPES, timeout=LONG_SECONDS)]


COUNT_ARCHIVED = """
select type, count(*), count(*) filter (where payload is null) from outbox_published
where published_at >= $1 and ($2::text is null or type = $2) group by type order by type"""

REPLAY = """
insert into outbox (message_id, topic, key, type, headers, payload, keeps_payload)
select message_id, topic, key, type,
    (jsonb_build_object('ce_time', created_at, 'ce_sequence', lpad(id::text, 20, '0')) || headers::jsonb)::text, payload, true
from outbox_published where published_at >= $1 and ($2::text is null or type = $2) and payload is not null
order by published_at, id"""


@dataclass(frozen=True, slots=True)
class Archived:
    """How many messages of a type the archive holds; `sealed` of them kept no value and cannot be sent again."""

    type: str
    count: int
    sealed: int


async def archived(conn: Connection, since: datetime, kind: str | None) -> list[Archived]:
    """Count what was published since then, by type."""
    await conn.execute("set local statement_timeout = '600s'")
    return [Archived(*row) for row in await conn.fetch(COUNT_ARCHIVED, since, kind, timeout=LONG_SECONDS)]


async def replay(conn: Connection, since: datetime, kind: str | None) -> int:
    """Owe again what was published since then, with the same ids: readers that had it drop it, latecomers take it."""
    await conn.execute("set local statement_timeout = '600s'")
    status = await conn.execute(REPLAY, since, kind, timeout=LONG_SECONDS)
    conn.context.rings.add(BELL)
    return int(status.rpartition(" ")[2])
