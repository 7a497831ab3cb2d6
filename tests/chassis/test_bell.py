"""The bell: heard here at once and elsewhere soon, also after its connection was cut."""

import asyncio

import asyncpg
import pytest

from chassis.postgres import Database
from tests.conftest import OpenDatabase
from tests.support.waiting import until


async def ring(database: Database, name: str) -> None:
    async with database.transaction() as conn:
        conn.context.rings.add(name)


async def test_another_process_hears_what_rang_after_the_commit(open_as: OpenDatabase) -> None:
    here, there = await open_as("things"), await open_as("things")
    heard = asyncio.Event()
    there.bell.hear("work", heard.set)

    async def rung() -> bool:
        await ring(here, "work")
        return heard.is_set()

    await until(rung, what="the bell")


async def test_hearers_of_this_process_hear_before_the_transaction_block_ends(open_as: OpenDatabase) -> None:
    database = await open_as("things")
    heard = asyncio.Event()
    database.bell.hear("work", heard.set)
    async with database.transaction() as conn:
        conn.context.rings.add("work")
        assert not heard.is_set()
    assert heard.is_set()


async def test_nothing_rings_when_the_transaction_is_rolled_back(open_as: OpenDatabase) -> None:
    database = await open_as("things")
    heard = asyncio.Event()
    database.bell.hear("work", heard.set)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as conn:
            conn.context.rings.add("work")
            raise ZeroDivisionError
    await ring(database, "other")
    assert not heard.is_set()


async def test_a_bell_whose_connection_was_cut_rings_again(
    open_as: OpenDatabase, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    here, there = await open_as("things"), await open_as("things")
    heard = asyncio.Event()
    there.bell.hear("work", heard.set)
    await owner.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and usename = 'things_app' and state = 'idle'"
    )

    async def rung() -> bool:
        try:
            await ring(here, "work")
        except asyncpg.PostgresConnectionError:  # The cut met the pool's connections too.
            return False
        return heard.is_set()

    await until(rung, what="the bell after the cut")
