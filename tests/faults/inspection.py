"""Inspection: reads tables, topics and mailbox into what the checker judges, once all is quiet."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.faults.cast import Cast
from tests.faults.history import History, Kind
from tests.faults.observed import (
    Account,
    Block,
    Challenge,
    Effect,
    Entry,
    Heard,
    MailRow,
    Membership,
    Observed,
    Owed,
    Record,
    Session,
    Wait,
)
from tests.faults.stage import TOPICS, Stage

log = structlog.get_logger()

if TYPE_CHECKING:
    Admin = asyncpg.Connection[asyncpg.Record]
else:
    Admin = asyncpg.Connection

Offsets = Mapping[TopicPartition, int]
ENDS_SECONDS, ENDS_TRIES = 8.0, 4
SERVICES = ("auth", "notifications", "ledger", "mirror")
PUBLISHING = ("auth", "notifications", "ledger")
READ = {
    "mirror": {"ledger.entries.v1", "auth.accounts.v1", "auth.rights.v1"},
    "notifications": {"auth.codes.v1", "auth.accounts.v1"},
}
"""Which topics are read to their ends before a round is quiet, by whom."""


@dataclass(frozen=True, slots=True)
class Round:
    """Which part of the run is looked at: since when, and from which offsets on."""

    began: datetime
    offsets: Offsets


async def begin(stage: Stage) -> Round:
    """Note where a round begins."""
    async with stage.admin() as conn:
        began = await conn.fetchval("select clock_timestamp()")
    return Round(began, await _ends(stage))


WAITING = " union all ".join(
    f"select '{service} outbox ' || type as what, message_id::text as id from {service}.outbox "  # noqa: S608 -- our names.
    f"union all select '{service} dead letter ' || coalesce(type, ''), message_id from {service}.dead_letters"
    for service in SERVICES
)
UNSETTLED = """
select 'unsettled mail', message_id from notifications.mails where settled_at is null
union all select 'unsettled challenge', id::text from auth.challenges where settled_at is null
union all select 'untold block', account_id::text from auth.blocks
where account_id is not null and told_at is null and blocked_until > now()"""


async def waiting(conn: Admin) -> dict[str, str]:
    """Give what still waits somewhere, by message id, with where that is."""
    return {row[1]: row[0] for row in await conn.fetch(f"{WAITING} union all {UNSETTLED}")}


async def unread(stage: Stage) -> dict[str, int]:
    """Count the records that the readers have not handled yet, by reader and partition, as far as they themselves know."""
    ends = await _ends(stage)
    prefix = stage.platform.topic_prefix
    async with stage.admin() as conn:
        rows = await conn.fetch(
            "select 'mirror', topic, partition, next_offset from mirror.consumer_positions union all "
            "select 'notifications', topic, partition, next_offset from notifications.consumer_positions"
        )
    reached = {(row[0], TopicPartition(prefix + row[1], row[2])): row[3] for row in rows}
    left = {
        (service, place): end - reached.get((service, place), 0)
        for service, topics in READ.items()
        for place, end in ends.items()
        if place.topic.removeprefix(prefix) in topics
    }
    return {f"{service} {place.topic}-{place.partition}": count for (service, place), count in left.items() if count}


async def inspect(stage: Stage, cast: Cast, history: History, since: Round) -> Observed:
    """Read all that the round did; what others did is left out."""
    observed = Observed()
    observed.records = await _records(stage, since.offsets)
    async with stage.admin() as conn:
        observed.waiting = set(await waiting(conn))
        await _read_ledger(conn, history, observed)
        await _read_people(conn, cast, observed)
        ids = list({UUID(record.message_id) for record in observed.records})
        for service in PUBLISHING:
            rows = await conn.fetch(KNOWN.format(service=service), ids)
            observed.known_ids |= {str(row[0]) for row in rows}
    observed.copies = stage.post.copies(cast.addresses)
    observed.bouncing = {address for address in cast.addresses if address.startswith("bounces")}
    return observed


KNOWN = """
select message_id from {service}.outbox where message_id = any($1)
union select message_id from {service}.outbox_published where message_id = any($1)"""
OWED = """
select message_id, type, key, payload from {service}.outbox where key = any($1)
union all select message_id, type, key, payload from {service}.outbox_published where key = any($1)"""
ENTRIES = "select book_id, version, entry_id from ledger.entries where book_id = any($1) order by id"
EFFECTS = "select book_id, version, entry_id, event_id from mirror.effects where book_id = any($1) order by id"
WAITS = """
select p.message_id::text, min(p.created_at), min(p.published_at), min(i.handled_at) from ledger.outbox_published p
join mirror.inbox i on i.message_id = p.message_id::text where p.key = any($1) group by p.message_id"""
TOTALS = "select book_id, entries from mirror.totals where book_id = any($1)"
CHALLENGES = """
select id, address, settled_at is not null, code_digest is not null from auth.challenges where address = any($1)"""
ACCOUNTS = """
select a.id, a.address, a.version, a.security_epoch, p.account_id is not null from auth.accounts a
left join auth.passwords p on p.account_id = a.id where a.address = any($1) or a.id = any($2)"""
SESSIONS = """
select s.id, s.account_id, a.address, s.ended_at from auth.sessions s join auth.accounts a on a.id = s.account_id
where a.id = any($1)"""
BLOCKS = """
select account_id, failures, coalesce(blocked_until > now(), false), told_at is not null from auth.blocks
where account_id = any($1)"""
MEMBERSHIPS = """
select m.id, m.account_id, m.version, array(
    select group_name from auth.grants where membership_id = m.id order by group_name collate "C")
from auth.memberships m where m.account_id = any($1)"""
HEARD = "select type, key, version, event_id from mirror.heard where key = any($1) order by id"
STANDING = "select type, key, version, groups from mirror.standing where key = any($1)"
MAILS = """
select id, message_id, outcome, expires_at, settled_at from notifications.mails where message_id = any($1)"""


async def _read_ledger(conn: Admin, history: History, observed: Observed) -> None:
    books = list({UUID(command.key) for command in history.of(Kind.ENTRY)})
    observed.entries = [Entry(*row) for row in await conn.fetch(ENTRIES, books)]
    observed.effects = [Effect(*row) for row in await conn.fetch(EFFECTS, books)]
    observed.totals = {row[0]: row[1] for row in await conn.fetch(TOTALS, books)}
    keys = [str(book) for book in books]
    observed.waits = [Wait(*row) for row in await conn.fetch(WAITS, keys)]
    observed.owed += await _owed(conn, "ledger", keys)


async def _read_people(conn: Admin, cast: Cast, observed: Observed) -> None:
    addresses = list(cast.addresses)
    observed.accounts = [Account(*row) for row in await conn.fetch(ACCOUNTS, addresses, cast.users)]
    people = [account.id for account in observed.accounts]
    observed.challenges = [Challenge(*row) for row in await conn.fetch(CHALLENGES, addresses)]
    observed.sessions = [Session(*row) for row in await conn.fetch(SESSIONS, people)]
    observed.blocks = [Block(*row) for row in await conn.fetch(BLOCKS, people)]
    observed.memberships = [
        Membership(row[0], row[1], row[2], tuple(row[3])) for row in await conn.fetch(MEMBERSHIPS, people)
    ]
    keys = [*people, *(membership.id for membership in observed.memberships)]
    observed.heard = [Heard(*row) for row in await conn.fetch(HEARD, keys)]
    observed.standing = {(row[0], row[1]): (row[2], tuple(row[3])) for row in await conn.fetch(STANDING, keys)}
    keys += [challenge.id for challenge in observed.challenges]
    told = await _owed(conn, "auth", [str(key) for key in keys])
    observed.mails = [MailRow(*row) for row in await conn.fetch(MAILS, list({owed.message_id for owed in told}))]
    observed.owed += told
    observed.owed += await _owed(conn, "notifications", [str(mail.id) for mail in observed.mails])


async def _owed(conn: Admin, service: str, keys: list[str]) -> list[Owed]:
    """Give what was owed about some keys; of messages with secrets the archive keeps no value."""
    rows = await conn.fetch(OWED.format(service=service), keys)
    return [Owed(str(row[0]), row[1], row[2], json.loads(row[3]) if row[3] else {}) for row in rows]


async def _records(stage: Stage, offsets: Offsets) -> list[Record]:
    """Read every topic from the round's begin to its present end."""
    ends = await _ends(stage)
    left = {place: end for place, end in ends.items() if end > offsets.get(place, 0)}
    consumer = AIOKafkaConsumer(bootstrap_servers=stage.broker.bootstrap, enable_auto_commit=False)
    await consumer.start()
    records: list[Record] = []
    try:
        consumer.assign(list(left))
        for place in left:
            consumer.seek(place, offsets.get(place, 0))
        while left:
            for place, batch in (await consumer.getmany(timeout_ms=500)).items():
                for record in batch:
                    headers = dict(record.headers)
                    records.append(Record(place.topic, headers["ce_id"].decode(), headers["ce_type"].decode()))
                if batch[-1].offset + 1 >= ends[place]:
                    left.pop(place, None)
    finally:
        await consumer.stop()
    return records


async def _ends(stage: Stage) -> dict[TopicPartition, int]:
    """Ask for the ends of all partitions; a client that was started while a broker came back may never get an answer."""
    for _ in range(ENDS_TRIES):
        try:
            async with asyncio.timeout(ENDS_SECONDS):
                return await _ask_ends(stage)
        except TimeoutError:
            log.warning("kafka_did_not_tell_its_ends")
    raise TimeoutError(f"Kafka did not tell its ends, {ENDS_TRIES} times in {ENDS_SECONDS:g} s")


async def _ask_ends(stage: Stage) -> dict[TopicPartition, int]:
    places = [
        TopicPartition(stage.platform.topic_prefix + topic.name, partition)
        for topic in TOPICS
        for partition in range(topic.partitions)
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=stage.broker.bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)  # Else it learns of the topics one after the other, a tenth of a second each.
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return ends
