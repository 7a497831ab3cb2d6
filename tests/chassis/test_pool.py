"""The pool: cut connections are replaced before anything is done on them."""

import asyncpg
import pytest

from chassis.postgres import Database
from tests.conftest import OpenDatabase


@pytest.mark.goal("rel-R7")
async def test_after_every_idle_connection_was_cut_the_next_transactions_just_work(
    open_as: OpenDatabase, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    database = await open_as("things")
    await _use_several(database, 5)
    cut = await owner.fetchval(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity "
        "where datname = current_database() and usename = 'things_app'"
    )
    assert cut >= 5
    await _use_several(database, 5)


async def test_a_transaction_that_was_rolled_back_leaves_nothing_on_its_connection(open_as: OpenDatabase) -> None:
    database = await open_as("things")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as conn:
            conn.context.cause = "cause"
            conn.context.rings.add("bell")
            raise ZeroDivisionError
    async with database.transaction() as conn:
        assert conn.context.cause is None
        assert conn.context.rings == set()
        assert conn.context.identity == database.identity


async def _use_several(database: Database, count: int) -> None:
    """Hold that many connections at once."""
    async with database.transaction() as conn:
        assert await conn.fetchval("select 1") == 1
        if count > 1:
            await _use_several(database, count - 1)
