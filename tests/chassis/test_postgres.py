"""Transactions: a fresh context each, bells after the commit only, and outages told from bugs."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeAlias

import asyncpg
import pytest

from chassis.errors import Kind, Refusal
from chassis.postgres import HALF_OPEN, Database, is_outage, open_database
from tests.conftest import Clone

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class NoThanks(Refusal):
    """This is understood and declined."""

    kind = Kind.CONFLICT


@pytest.fixture
def rung(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Give what the bell was asked to ring, in order."""
    calls: list[set[str]] = []
    monkeypatch.setattr(database.bell, "ring", calls.append)
    return calls


INSERT = "insert into inbox (source, message_id) values ('test', $1)"


async def messages(database: Database) -> list[str]:
    async with database.transaction() as conn:
        return [row[0] for row in await conn.fetch("select message_id from inbox order by message_id")]


async def test_what_was_written_is_there_when_the_block_ends_and_then_the_bells_ring(
    database: Database, rung: list[set[str]], owner: Owner
) -> None:
    async with database.transaction() as conn:
        await conn.execute(INSERT, "1")
        conn.context.rings |= {"work", "mails"}
        assert rung == []
        assert await owner.fetchval("select count(*) from things.inbox") == 0
    assert rung == [{"work", "mails"}]
    assert await messages(database) == ["1"]


@pytest.mark.parametrize("error", [ZeroDivisionError, NoThanks, asyncio.CancelledError])
async def test_a_block_that_raises_leaves_nothing_and_rings_nothing(
    error: type[BaseException], database: Database, rung: list[set[str]]
) -> None:
    with pytest.raises(error):
        async with database.transaction() as conn:
            await conn.execute(INSERT, "1")
            conn.context.rings.add("work")
            raise error
    assert await messages(database) == []
    assert rung == []


async def test_a_commit_that_fails_rings_nothing(database: Database, rung: list[set[str]], owner: Owner) -> None:
    await owner.execute(
        "create table things.parents (id integer primary key);"
        "create table things.children (parent integer references things.parents deferrable initially deferred);"
        "grant all on things.parents, things.children to things_app"
    )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with database.transaction() as conn:
            await conn.execute("insert into children values (1)")
            conn.context.rings.add("work")
    assert rung == []


@pytest.fixture
async def single(clone: Clone) -> AsyncIterator[Database]:
    """Open a pool of one connection, which every transaction must share."""
    async with open_database(clone.urls("things").app, clone.cluster.identity("things"), size=1) as database:
        yield database


async def test_nothing_of_one_transaction_is_seen_by_the_next_on_the_same_connection(single: Database) -> None:
    backends = set()
    for fails in (False, True, False):
        with suppress(ZeroDivisionError):
            async with single.transaction() as conn:
                assert (conn.context.cause, conn.context.rings) == (None, set())
                assert conn.context.identity is single.identity
                assert await conn.fetchval("select current_setting('app.organisation', true)") in {None, ""}
                backends.add(conn.get_server_pid())
                conn.context.cause = "a message"
                conn.context.rings.add("work")
                await conn.execute("select set_config('app.organisation', 'one', true)")
                assert 1 / (not fails) == 1
    assert len(backends) == 1


async def test_two_transactions_at_once_have_connections_and_contexts_of_their_own(database: Database) -> None:
    async with database.transaction() as one, database.transaction() as other:
        assert one.context is not other.context
        one.context.cause = "a message"
        assert other.context.cause is None
        assert one.get_server_pid() != other.get_server_pid()


async def test_a_transaction_inside_a_transaction_is_undone_alone(database: Database) -> None:
    async with database.transaction() as conn:
        await conn.execute(INSERT, "1")
        with pytest.raises(ZeroDivisionError):
            async with conn.transaction():
                await conn.execute(INSERT, "2")
                raise ZeroDivisionError
    assert await messages(database) == ["1"]


async def test_a_session_has_limits_and_says_whose_it_is(database: Database) -> None:
    async with database.transaction() as conn:
        shown = [
            await conn.fetchval("select current_setting($1)", name)
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        ]
    assert shown == ["15s", "3s", "1min", "samband things"]


@pytest.mark.goal("rel-R7")
async def test_postgres_looks_after_clients_that_may_be_gone_with_their_network(database: Database) -> None:
    """A quarter of an hour of TCP's own patience would be as long a lock."""
    async with database.transaction() as conn:
        found = {name: await conn.fetchval("select current_setting($1)", name) for name in HALF_OPEN}
    assert found == HALF_OPEN


async def test_connections_that_were_cut_while_idle_cost_no_transaction(database: Database, owner: Owner) -> None:
    async with database.transaction(), database.transaction():
        pass
    await owner.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and usename = 'things_app'"
    )
    assert await messages(database) == []


async def test_a_connection_that_is_cut_inside_a_transaction_is_an_outage(database: Database, owner: Owner) -> None:
    with pytest.raises(Exception) as raised:
        async with database.transaction() as conn:
            await owner.execute("select pg_terminate_backend($1)", conn.get_server_pid())
            await conn.execute(INSERT, "1")
    assert is_outage(raised.value)
    assert await messages(database) == []


async def test_ping_answers_while_postgres_does_and_raises_an_outage_when_no_connection_is_free(
    single: Database,
) -> None:
    await single.ping()
    async with single.transaction():
        with pytest.raises(TimeoutError) as raised:
            await single.ping()
    assert is_outage(raised.value)
    await single.ping()


OUTAGES = [
    ConnectionResetError(errno.ECONNRESET, "x"),
    ConnectionRefusedError(errno.ECONNREFUSED, "x"),
    TimeoutError(),
    OSError(errno.ENETUNREACH, "x"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.ConnectionDoesNotExistError("x"),
    asyncpg.ConnectionFailureError("x"),
    asyncpg.AdminShutdownError("x"),
    asyncpg.CrashShutdownError("x"),
    asyncpg.CannotConnectNowError("x"),
    asyncpg.QueryCanceledError("x"),
    asyncpg.TooManyConnectionsError("x"),
    asyncpg.DiskFullError("x"),
    asyncpg.DeadlockDetectedError("x"),
    asyncpg.SerializationError("x"),
    asyncpg.LockNotAvailableError("x"),
    asyncpg.ReadOnlySQLTransactionError("x"),
    asyncpg.IdleInTransactionSessionTimeoutError("x"),
]
BUGS = [
    ZeroDivisionError(),
    ValueError("x"),
    NoThanks(),
    asyncpg.UniqueViolationError("x"),
    asyncpg.CheckViolationError("x"),
    asyncpg.ForeignKeyViolationError("x"),
    asyncpg.NumericValueOutOfRangeError("x"),
    asyncpg.DataError("invalid input for query argument"),
    asyncpg.CharacterNotInRepertoireError("x"),
    asyncpg.UndefinedTableError("x"),
    asyncpg.InsufficientPrivilegeError("x"),
    asyncpg.PostgresSyntaxError("x"),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize(
    ("error", "outage"),
    [*((error, True) for error in OUTAGES), *((error, False) for error in BUGS)],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_outage_is_told_from_a_bug(error: BaseException, outage: bool) -> None:
    assert is_outage(error) is outage


async def test_values_that_postgres_cannot_take_are_bugs_and_not_waited_out(database: Database) -> None:
    """A message with such a value is set aside; taken for an outage it would hold its partition for ever."""
    for sql, value in (("select $1::int", 2**40), ("select $1::text", "\x00"), ("select $1::uuid", "x")):
        with pytest.raises(asyncpg.PostgresError) as raised:
            async with database.transaction() as conn:
                await conn.fetchval(sql, value)
        assert not is_outage(raised.value)
