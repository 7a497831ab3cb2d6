"""The outbox: what is owed, when, and what of it may be read."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from chassis import outbox
from chassis.outbox import MessageTooLarge
from chassis.postgres import Database
from chassis.sealing import Place
from tests.conftest import Clone
from tests.support.things import happened, whispered

SELECT = "select * from outbox order by id"


@pytest.fixture
async def relay_connection(clone: Clone) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    conn = await asyncpg.connect(clone.urls("things").app)
    await outbox.turn_over(conn, 7)
    yield conn
    await conn.close()


@pytest.mark.goal("rel-R5")
async def test_a_message_is_owed_exactly_when_its_transaction_commits(database: Database) -> None:
    async with database.transaction() as conn:
        await outbox.add(conn, happened(1))
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as conn:
            await outbox.add(conn, happened(2))
            raise ZeroDivisionError
    async with database.transaction() as conn:
        rows = await conn.fetch(SELECT)
    assert [json.loads(row["payload"])["n"] for row in rows] == [1]


async def test_a_row_carries_the_cloudevents_envelope_and_the_aggregate_as_key(database: Database) -> None:
    message = happened(1)
    async with database.transaction() as conn:
        message_id = await outbox.add(conn, message)
        row = await conn.fetchrow(SELECT)
    assert row is not None
    assert row["key"] == str(message.thing_id)
    assert row["topic"] == "auth.accounts.v1"
    assert json.loads(row["headers"]) == {
        "ce_specversion": "1.0",
        "ce_id": str(message_id),
        "ce_source": "/services/things",
        "ce_type": "auth.ThingHappened.v1",
        "ce_subject": str(message.thing_id),
        "content-type": "application/json",
    }


async def test_a_message_that_is_too_large_is_refused_and_nothing_is_written(database: Database) -> None:
    with pytest.raises(MessageTooLarge) as refused:
        async with database.transaction() as conn:
            await outbox.add(conn, happened(1))
            await outbox.add(conn, happened(2, note="x" * 1_000_000))
    assert refused.value.facts["limit"] == 900_000
    async with database.transaction() as conn:
        assert await conn.fetch(SELECT) == []


@pytest.mark.goal("sec-P1")
async def test_a_secret_stands_sealed_in_the_outbox_and_only_its_reader_opens_it(database: Database) -> None:
    async with database.transaction() as conn:
        message_id = await outbox.add(conn, whispered("canary-314159"))
        row = await conn.fetchrow(SELECT)
    assert row is not None
    assert b"canary" not in row["payload"]
    token = json.loads(row["payload"])["secret"]
    place = Place(str(message_id), "auth.ThingWhispered.v1", "secret")
    assert database.identity.keyring.open(token, place) == "canary-314159"


async def test_a_cycle_archives_what_was_acknowledged_and_gives_what_comes_next(
    database: Database, relay_connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database.transaction() as conn:
        for n in range(3):
            await outbox.add(conn, happened(n))
    first = await _cycle(relay_connection, [], limit=2)
    second = await _cycle(relay_connection, [row.id for row in first], limit=2)
    third = await _cycle(relay_connection, [row.id for row in second], limit=2)
    assert [json.loads(row.payload)["n"] for row in (*first, *second)] == [0, 1, 2]
    assert third == []
    assert await relay_connection.fetchval("select count(*) from outbox_published") == 3


async def test_a_cycle_passes_over_held_keys_and_topics_and_nothing_else(
    database: Database, relay_connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    held, free = happened(1), happened(2)
    async with database.transaction() as conn:
        for message in (held, free, whispered("x")):
            await outbox.add(conn, message)
    rows = await outbox.cycle(
        relay_connection,
        [],
        archive=True,
        held_keys=[("auth.accounts.v1", held.key)],
        held_topics=["auth.codes.v1"],
        limit=10,
    )
    assert [row.key for row in rows] == [free.key]


@pytest.mark.goal("rel-R6")
async def test_a_row_whose_transaction_commits_late_is_not_skipped(
    database: Database, relay_connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database.transaction() as late:
        await outbox.add(late, happened(1))
        async with database.transaction() as early:
            await outbox.add(early, happened(2))
        before = await _cycle(relay_connection, [])
        assert await _cycle(relay_connection, [row.id for row in before]) == []
    after = await _cycle(relay_connection, [])
    assert [json.loads(row.payload)["n"] for row in before] == [2]
    assert [json.loads(row.payload)["n"] for row in after] == [1]


@pytest.mark.goal("rel-R8")
async def test_what_was_published_is_owed_again_with_its_id_and_sequence_but_never_a_secret(
    database: Database, relay_connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database.transaction() as conn:
        await outbox.add(conn, happened(1))
        await outbox.add(conn, whispered("canary"))
    sent = await _cycle(relay_connection, [])
    await _cycle(relay_connection, [row.id for row in sent])
    since = datetime.now(UTC) - timedelta(hours=1)
    async with database.transaction() as conn:
        found = await outbox.archived(conn, since, None)
        owed = await outbox.replay(conn, since, None)
    again = await _cycle(relay_connection, [])
    assert {(kind.type, kind.count, kind.sealed) for kind in found} == {
        ("auth.ThingHappened.v1", 1, 0),
        ("auth.ThingWhispered.v1", 1, 1),
    }
    assert owed == 1
    assert [row.message_id for row in again] == [sent[0].message_id]
    assert dict(again[0].kafka_headers())["ce_sequence"] == f"{sent[0].id:020d}".encode()


async def test_replay_takes_only_the_type_and_the_time_that_were_asked_for(
    database: Database, relay_connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database.transaction() as conn:
        await outbox.add(conn, happened(1))
    await _cycle(relay_connection, [row.id for row in await _cycle(relay_connection, [])])
    async with database.transaction() as conn:
        assert await outbox.replay(conn, datetime.now(UTC) + timedelta(minutes=1), None) == 0
        assert await outbox.replay(conn, datetime.now(UTC) - timedelta(hours=1), "auth.Other.v1") == 0
        assert await outbox.replay(conn, datetime.now(UTC) - timedelta(hours=1), "auth.ThingHappened.v1") == 1


async def test_the_archive_keeps_its_days_and_drops_older_ones(
    relay_connection: "asyncpg.Connection[asyncpg.Record]", owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    old = datetime.now(UTC).date() - timedelta(days=8)
    await owner.execute("set search_path = things")
    await owner.execute(
        f"create table outbox_published_{old:%Y%m%d} partition of outbox_published "
        f"for values from ('{old} 00:00Z') to ('{old + timedelta(days=1)} 00:00Z')"
    )
    assert await outbox.turn_over(relay_connection, 8) == 0
    assert await outbox.turn_over(relay_connection, 7) == 1
    with pytest.raises(asyncpg.RaiseError, match="keep_days"):
        await outbox.turn_over(relay_connection, -1)


async def test_the_login_role_owns_nothing(relay_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await relay_connection.execute("drop table outbox")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await relay_connection.execute("select * from auth.accounts")


async def _cycle(
    conn: "asyncpg.Connection[asyncpg.Record]", acknowledged: list[int], limit: int = 100
) -> list[outbox.Owed]:
    return await outbox.cycle(conn, acknowledged, archive=True, held_keys=[], held_topics=[], limit=limit)
