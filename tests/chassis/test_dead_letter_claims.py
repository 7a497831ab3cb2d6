"""Claims of dead letters: given back through an outage, and counted as a death when nobody gives them back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chassis.postgres import Database, is_outage
from tests.chassis.http_app import logged
from tests.chassis.test_dead_letters import Owner, arrival, make_due, page, retries, set_aside
from tests.support.lanes import CREATE_EFFECTS
from tests.support.waiting import until

CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and usename = 'things_app'"""


async def limit_connections(owner: Owner, count: int) -> None:
    """Let Postgres take that many connections of the service, -1 for any number, and cut those that there are."""
    name = await owner.fetchval("select quote_ident(current_database())")
    await owner.execute(f"alter database {name} connection limit {count}")
    await owner.execute(CUT)


@asynccontextmanager
async def cut_off(
    database: Database, owner: Owner, error: Exception | None = None
) -> AsyncIterator["asyncio.Task[int]"]:
    """A retry under way whose Postgres went away in the middle, and that has tried in vain to say what came of it."""

    async def trouble(_n: int) -> None:
        await limit_connections(owner, 0)
        if error is not None:
            raise error

    await owner.execute(CREATE_EFFECTS)
    await set_aside(database, arrival())
    await make_due(owner)
    with logged() as lines:

        async def waits() -> bool:
            return any(line["event"] == "dead_letter_waits_to_be_settled" for line in lines)

        task = asyncio.create_task(retries(database, trouble).tick())
        try:
            await until(waits, what="the retry to wait for Postgres")
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await limit_connections(owner, -1)


@pytest.mark.goal("rel-R7")
async def test_an_outage_of_postgres_itself_is_not_counted_and_its_claim_is_given_back_when_it_is_over(
    database: Database, owner: Owner
) -> None:
    async with cut_off(database, owner) as task:
        assert [row[0] for row in await owner.fetch("select attempts from things.dead_letters")] == [2]
        await limit_connections(owner, -1)
        with pytest.raises(Exception) as raised:
            await task
    assert is_outage(raised.value)
    assert await owner.fetchval("select claimed_until is null from things.dead_letters")
    assert [letter.attempts for letter in await page(database)] == [1]


async def test_a_failure_is_noted_when_postgres_is_back(database: Database, owner: Owner) -> None:
    async with cut_off(database, owner, ZeroDivisionError("x")) as task:
        await limit_connections(owner, -1)
        assert await task == 1
    assert await owner.fetchval("select claimed_until is null from things.dead_letters")
    assert [(letter.attempts, letter.reason) for letter in await page(database)] == [(2, "ZeroDivisionError")]


async def test_a_loop_that_waits_for_postgres_ends_when_it_is_cancelled(database: Database, owner: Owner) -> None:
    async with cut_off(database, owner) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [letter.attempts for letter in await page(database)] == [2]
