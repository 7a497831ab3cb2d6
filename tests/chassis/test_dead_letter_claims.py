"""Claims of dead letters: given back through an outage, and counted as a death when nobody gives them back."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from chassis import dead_letters
from chassis.dead_letters import DEATHS, DeadLetter, Retries, Waits
from chassis.handlers import SECONDS
from chassis.postgres import Database, is_outage
from tests.chassis.http_app import logged
from tests.chassis.test_dead_letters import Owner, PowerCut, arrival, make_due, page, retries, set_aside
from tests.support.lanes import CREATE_EFFECTS, handlers
from tests.support.waiting import until

T = TypeVar("T")

CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and usename = 'things_app'"""


async def limit_connections(owner: Owner, count: int) -> None:
    """Let Postgres take that many connections of the service, -1 for any number, and cut those that there are."""
    name = await owner.fetchval("select quote_ident(current_database())")
    await owner.execute(f"alter database {name} connection limit {count}")
    await owner.execute(CUT)


async def claim(database: Database, seconds: float) -> DeadLetter:
    async with database.transaction() as conn:
        letter = await dead_letters.claim_due(conn, seconds=seconds)
    assert letter is not None
    return letter


@asynccontextmanager
async def waiting(owner: Owner, work: Coroutine[Any, Any, T]) -> AsyncIterator["asyncio.Task[T]"]:
    """Work under way that has tried in vain to say to Postgres what came of a retry; Postgres is back at the end."""
    with logged() as lines:

        async def waits() -> bool:
            return any(line["event"] == "dead_letter_waits_to_be_settled" for line in lines)

        task = asyncio.create_task(work)
        try:
            await until(waits, what="it to wait for Postgres")
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await limit_connections(owner, -1)


async def cut_off_in_the_middle(database: Database, owner: Owner) -> int:
    """Try a message again, and lose Postgres while its handler is at work."""

    async def trouble(_n: int) -> None:
        await limit_connections(owner, 0)

    await set_aside(database, arrival())
    await make_due(owner)
    return await retries(database, trouble).tick()


@pytest.mark.goal("rel-R7")
async def test_an_outage_of_postgres_itself_is_not_counted_and_its_claim_is_given_back_when_it_is_over(
    database: Database, owner: Owner
) -> None:
    async with waiting(owner, cut_off_in_the_middle(database, owner)) as task:
        assert [row[0] for row in await owner.fetch("select attempts from things.dead_letters")] == [2]
        await limit_connections(owner, -1)
        with pytest.raises(Exception) as raised:
            await task
    assert is_outage(raised.value)
    assert [(each.attempts, each.deaths, each.claimed_until) for each in await page(database)] == [(1, 0, None)]


async def test_a_failure_is_noted_when_postgres_is_back(database: Database, owner: Owner) -> None:
    await set_aside(database, arrival())
    await make_due(owner)
    letter = await claim(database, 10)
    await limit_connections(owner, 0)
    async with waiting(owner, retries(database)._settle_surely(letter, ZeroDivisionError("x"))) as task:
        await limit_connections(owner, -1)
        await task
    (letter,) = await page(database)
    assert (letter.attempts, letter.reason, letter.claimed_until) == (2, "ZeroDivisionError", None)


async def test_a_loop_that_waits_for_postgres_ends_when_it_is_cancelled(database: Database, owner: Owner) -> None:
    async with waiting(owner, cut_off_in_the_middle(database, owner)) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [letter.attempts for letter in await page(database)] == [2]


async def test_a_death_that_was_an_outage_is_taken_back_from_who_claimed_the_message_meanwhile(
    database: Database, owner: Owner
) -> None:
    await set_aside(database, arrival())
    await make_due(owner)
    first = await claim(database, 10)
    await make_due(owner)
    second = await claim(database, 10)
    assert (second.attempts, second.deaths) == (3, 1)
    await retries(database)._settle_surely(first, ConnectionResetError())
    (letter,) = await page(database)
    assert (letter.attempts, letter.deaths, letter.claimed_until) == (2, 0, second.claimed_until)
    await retries(database)._settle_surely(second, ZeroDivisionError("x"))
    (letter,) = await page(database)
    assert (letter.attempts, letter.deaths, letter.claimed_until) == (2, 0, None)


AGE = """
update things.dead_letters set set_aside_at = set_aside_at - interval '1 second',
    next_attempt_at = next_attempt_at - interval '1 second', claimed_until = claimed_until - interval '1 second'"""


@pytest.mark.goal("rel-R10")
async def test_a_killer_that_waited_behind_another_is_parked_after_three_deaths_within_a_minute(
    database: Database, owner: Owner
) -> None:
    """Its three deaths are ended by their claims, which run out as in life: the rows grow older second by second."""
    found, deaths, seconds = handlers(die, seconds=SECONDS), 0, 0
    await set_aside(database, arrival(1))
    await set_aside(database, arrival(2), error=Waits("for an earlier message of its key"))
    await owner.execute(CREATE_EFFECTS)
    await make_due(owner)
    assert await Retries(database, handlers()).tick() == 1
    while not [letter for letter in await page(database) if letter.parked_at] and seconds < 120:
        try:
            worked = await Retries(database, found).tick()
        except PowerCut:
            deaths += 1
        else:
            if not worked:
                await owner.execute(AGE)
                seconds += 1
    (letter,) = await page(database)
    assert (letter.offset, letter.deaths, deaths) == (2, DEATHS, DEATHS)
    assert letter.reason.startswith("DiedTooOften")
    assert seconds <= 45  # A minute, less what a machine needs to start the process again.
    async with database.transaction() as conn:
        assert await dead_letters.release(conn, letter.id) == 1
    assert await Retries(database, handlers()).tick() == 1
    assert [row["n"] for row in await owner.fetch("select n from things.effects order by id")] == [1, 2]


async def die(_n: int) -> None:
    """End the tick where a SIGKILL would end the process."""
    raise PowerCut
