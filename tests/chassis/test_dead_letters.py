"""Dead letters: kept whole and unreadable, tried again later and later, parked at last, and in an operator's hands."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from chassis import dead_letters, failpoints
from chassis.arrival import Arrival
from chassis.dead_letters import ATTEMPTS, DeadLetter, DiedTooOften, Retries, Waits
from chassis.errors import Kind, Refusal
from chassis.postgres import Database
from chassis.sealing import CannotOpen
from contracts.topics import CODES
from tests.support.lanes import CREATE_EFFECTS, TOPIC, body, handlers, headers

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
CANARY = "canary-161803"
KIND = "auth.ThingHappened.v1"


class NoThanks(Refusal):
    """This is understood and declined."""

    kind = Kind.CONFLICT


def arrival(n: int = 1, *, key: bytes | None = CANARY.encode(), topic: str = TOPIC, note: str = CANARY) -> Arrival:
    """Make a right event with something in its key, its value and a header that nobody else must see."""
    value, given = body(thing_id=uuid4(), n=n, note=note), (*headers(KIND), ("x-trace", CANARY.encode()))
    return Arrival.of(ConsumerRecord(topic, 0, n, 0, 0, key, value, None, 0, 0, given))


async def set_aside(database: Database, *arrivals: Arrival, error: Exception | None = None) -> None:
    async with database.transaction() as conn:
        for each in arrivals:
            await dead_letters.set_aside(conn, "urgent", each, error or ZeroDivisionError(CANARY))


async def page(database: Database) -> list[DeadLetter]:
    async with database.transaction() as conn:
        return await dead_letters.page(conn)


async def make_due(owner: Owner) -> None:
    """As if the pauses, and the claims of processes that died, were over."""
    await owner.execute(
        "update things.dead_letters set next_attempt_at = now() - interval '1 second', claimed_until = null"
    )


def retries(database: Database, trouble: Callable[[int], Awaitable[None]] | None = None) -> Retries:
    return Retries(database, handlers(trouble))


async def fail(_n: int) -> None:
    raise ZeroDivisionError(CANARY)


async def test_a_record_is_kept_whole_and_readable_for_this_service_alone(database: Database, owner: Owner) -> None:
    kept = arrival()
    await set_aside(database, kept)
    (row,) = await owner.fetch("select dead_letters::text as all_of_it from things.dead_letters")
    for hidden in (CANARY, CANARY.encode().hex(), "Y2FuYXJ5LTE2MTgwM"):
        assert hidden not in row["all_of_it"]
    (letter,) = await page(database)
    async with database.transaction() as conn:
        assert letter.open(conn) == kept
    assert letter.reason == "ZeroDivisionError"


async def test_a_record_as_large_as_kafka_takes_is_kept_and_opens_again(database: Database) -> None:
    kept = arrival(note="x" * 900_000)
    await set_aside(database, kept)
    (letter,) = await page(database)
    async with database.transaction() as conn:
        assert letter.open(conn) == kept


async def test_a_record_that_was_moved_to_another_row_does_not_open(database: Database, owner: Owner) -> None:
    await set_aside(database, arrival(1), arrival(2))
    await owner.execute(
        "update things.dead_letters set sealed_record = (select sealed_record from things.dead_letters order by id limit 1)"
    )
    first, second = await page(database)
    async with database.transaction() as conn:
        assert first.open(conn).offset == 1
        with pytest.raises(CannotOpen, match="was sealed for another place"):
            second.open(conn)


async def test_a_retry_that_succeeds_has_its_effect_and_removes_the_row_in_one_transaction(
    database: Database, owner: Owner
) -> None:
    await owner.execute(CREATE_EFFECTS)
    await set_aside(database, arrival(7))
    await make_due(owner)
    assert await retries(database).tick() == 1
    assert await owner.fetchval("select n from things.effects") == 7
    assert await page(database) == []
    assert await retries(database).tick() == 0


async def test_what_is_not_due_is_left_alone(database: Database) -> None:
    await set_aside(database, arrival())
    assert await retries(database, fail).tick() == 0
    assert [letter.attempts for letter in await page(database)] == [1]


async def test_the_pauses_grow_until_the_message_is_parked(database: Database, owner: Owner) -> None:
    """Each pause is between half and all of a span that doubles."""
    await set_aside(database, arrival())
    seconds = "select extract(epoch from next_attempt_at - now())::float8 from things.dead_letters"
    for failures in range(1, ATTEMPTS):
        pause = await owner.fetchval(seconds)
        whole = dead_letters.FIRST_PAUSE_SECONDS * 2 ** (failures - 1)
        assert whole / 2 - 1 < pause <= whole
        assert [letter.parked_at for letter in await page(database)] == [None]
        await make_due(owner)
        assert await retries(database, fail).tick() == 1
    (letter,) = await page(database)
    assert letter.attempts == ATTEMPTS and letter.parked_at is not None
    assert letter.reason == "ZeroDivisionError"
    await make_due(owner)
    assert await retries(database, fail).tick() == 0


class PowerCut(BaseException):
    """Ends the tick where a SIGKILL would end the process."""


@pytest.fixture
def power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(place: str) -> None:
        if place == "retry.counted":
            raise PowerCut

    monkeypatch.setattr(failpoints, "_hooks", [die])


@pytest.mark.goal("rel-R10")
async def test_a_retry_is_counted_before_it_is_tried_and_one_that_always_kills_is_parked(
    database: Database, owner: Owner, power_cut: None
) -> None:
    await set_aside(database, arrival())
    for attempts in range(2, ATTEMPTS + 1):
        await make_due(owner)
        with pytest.raises(PowerCut):
            await retries(database).tick()
        assert [letter.attempts for letter in await page(database)] == [attempts]
    await make_due(owner)
    assert await retries(database).tick() == 1
    (letter,) = await page(database)
    assert letter.parked_at is not None
    assert letter.reason.startswith("DiedTooOften")


@pytest.mark.goal("rel-R10")
async def test_one_that_was_set_aside_because_it_kills_is_not_tried_by_itself_again(
    database: Database, owner: Owner, power_cut: None
) -> None:
    await set_aside(database, arrival(), error=DiedTooOften("the process died 3 times while handling it"))
    await make_due(owner)
    assert await retries(database).tick() == 0
    assert [letter.parked_at is not None for letter in await page(database)] == [True]


async def test_an_outage_is_raised_and_not_counted(database: Database, owner: Owner) -> None:
    async def trouble(_n: int) -> None:
        raise ConnectionResetError

    await set_aside(database, arrival())
    await make_due(owner)
    with pytest.raises(ConnectionResetError):
        await retries(database, trouble).tick()
    assert [letter.attempts for letter in await page(database)] == [1]


async def test_a_refusal_is_parked_at_its_first_retry(database: Database, owner: Owner) -> None:
    async def trouble(_n: int) -> None:
        raise NoThanks

    await set_aside(database, arrival())
    await make_due(owner)
    assert await retries(database, trouble).tick() == 1
    (letter,) = await page(database)
    assert (letter.attempts, letter.reason, letter.parked_at is None) == (2, "NoThanks", False)


async def test_only_the_first_of_a_key_is_tried_and_one_without_a_key_waits_for_nobody(
    database: Database, owner: Owner
) -> None:
    await owner.execute(CREATE_EFFECTS)
    await set_aside(database, arrival(1))
    await set_aside(database, arrival(2), error=Waits("for an earlier message of its key"))
    await set_aside(database, arrival(3, key=None), arrival(4, key=b"other"))
    assert [letter.attempts for letter in await page(database)] == [1, 0, 1, 1]
    await owner.execute(
        "update things.dead_letters set parked_at = now() where attempts = 1 and key_digest is not null"
    )
    await owner.execute('update things.dead_letters set parked_at = null where "offset" = 4')
    await make_due(owner)
    assert [await retries(database).tick() for _ in range(3)] == [1, 1, 0]
    assert {row["n"] for row in await owner.fetch("select n from things.effects")} == {3, 4}
    async with database.transaction() as conn:
        assert await dead_letters.release(conn, None) == 1
    assert [await retries(database).tick() for _ in range(3)] == [1, 1, 0]
    assert [row["n"] for row in await owner.fetch("select n from things.effects order by id")][2:] == [1, 2]


async def test_a_record_with_a_secret_is_kept_no_longer_than_its_topic_keeps_it(
    database: Database, owner: Owner
) -> None:
    await set_aside(database, arrival(1), arrival(2, topic=CODES.name))
    rows = await owner.fetch("select purge_at - set_aside_at as kept from things.dead_letters order by id")
    assert [row["kept"] for row in rows] == [None, CODES.retention]
