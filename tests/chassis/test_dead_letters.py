"""Dead letters: kept whole and unreadable, tried again later and later, parked at last, and in an operator's hands."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from chassis import dead_letters, failpoints
from chassis.arrival import Arrival
from chassis.dead_letters import ATTEMPTS, DEATHS, DeadLetter, DiedTooOften, Retries, Waits
from chassis.errors import Kind, Refusal
from chassis.postgres import Database
from chassis.sealing import CannotOpen
from contracts.topics import CODES
from tests.chassis.test_statements import nodes
from tests.support.lanes import CREATE_EFFECTS, TOPIC, body, handlers, headers
from tests.support.waiting import until

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
        "update things.dead_letters set next_attempt_at = now() - interval '1 second', "
        "claimed_until = claimed_until - interval '1 hour'"
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
    for deaths in range(DEATHS):
        await make_due(owner)
        with pytest.raises(PowerCut):
            await retries(database).tick()
        assert [(letter.attempts, letter.deaths) for letter in await page(database)] == [(deaths + 2, deaths)]
    await make_due(owner)
    assert await retries(database).tick() == 1
    (letter,) = await page(database)
    assert letter.parked_at is not None
    assert letter.reason == "DiedTooOften: the process died 3 times while trying it again"


@pytest.mark.goal("rel-R10")
async def test_one_that_was_set_aside_because_it_kills_is_not_tried_by_itself_again(
    database: Database, owner: Owner, power_cut: None
) -> None:
    await set_aside(database, arrival(), error=DiedTooOften("the process died at least 3 times while handling it"))
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


@asynccontextmanager
async def held(database: Database) -> AsyncIterator[asyncio.Event]:
    """A retry under way, whose handler returns when the event is set, before the block ends."""
    tried, may_return = asyncio.Event(), asyncio.Event()

    async def trouble(_n: int) -> None:
        tried.set()
        await may_return.wait()

    under_way = asyncio.create_task(retries(database, trouble).tick())
    await tried.wait()
    yield may_return
    may_return.set()
    assert await under_way == 1


async def test_what_is_being_tried_is_nobody_elses_however_long_its_handler_takes(
    database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0.0)
    await owner.execute(CREATE_EFFECTS)
    await set_aside(database, arrival(1))
    await set_aside(database, arrival(2), error=Waits("for an earlier message of its key"))
    await make_due(owner)
    async with held(database):
        assert await retries(database).tick() == 0
        assert [(letter.attempts, letter.next_attempt_at < datetime.now(UTC)) for letter in await page(database)] == [
            (2, True),
            (0, False),
        ]
    assert [row["n"] for row in await owner.fetch("select n from things.effects")] == [1]
    assert await retries(database).tick() == 1
    assert [row["n"] for row in await owner.fetch("select n from things.effects order by id")] == [1, 2]


async def test_a_claim_lasts_longer_than_the_handler_may_take_and_then_another_takes_it(
    database: Database, owner: Owner, power_cut: None
) -> None:
    await set_aside(database, arrival())
    await make_due(owner)
    with pytest.raises(PowerCut):
        await retries(database).tick()
    seconds = await owner.fetchval("select extract(epoch from claimed_until - now())::float8 from things.dead_letters")
    assert retries(database)._handlers.seconds + 2 < seconds < 60
    past = "now() - interval '1 second'"
    await owner.execute(f"update things.dead_letters set claimed_until = {past}, next_attempt_at = {past}")  # noqa: S608
    with pytest.raises(PowerCut):
        await retries(database).tick()
    assert [letter.attempts for letter in await page(database)] == [3]


async def test_a_claim_that_has_run_out_says_nothing_about_its_successors(database: Database, owner: Owner) -> None:
    await set_aside(database, arrival())
    await make_due(owner)
    async with database.transaction() as conn:
        letter = await dead_letters.claim_due(conn, seconds=10)
    assert letter is not None
    later = "claimed_until + interval '1 minute'"  # As another that claims it.
    await owner.execute(f"update things.dead_letters set attempts = attempts + 1, claimed_until = {later}")  # noqa: S608
    await retries(database)._note(letter, NoThanks())
    assert [(letter.attempts, letter.parked_at) for letter in await page(database)] == [(3, None)]


@pytest.mark.goal("rel-R3")
async def test_several_loops_keep_the_order_of_each_key_while_messages_fail_now_and_then(
    database: Database, owner: Owner, quick_retries: None
) -> None:
    await owner.execute(CREATE_EFFECTS)
    chance, failed = random.Random(20261124), set[int]()

    async def trouble(n: int) -> None:
        await asyncio.sleep(0)
        if n not in failed and chance.random() < 0.4:
            failed.add(n)
            raise ZeroDivisionError

    for n in range(60):
        key = str(n % 3).encode()
        await set_aside(database, arrival(n, key=key), error=Waits("x") if n >= 3 else None)
    workers = [Retries(database, handlers(trouble)) for _ in range(2)]
    loops = [loop for worker in workers for loop in worker.loops(pool_size=4, every=0.02)]
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    await make_due(owner)
    try:
        await until(lambda: owner.fetchval("select not exists (select from things.dead_letters)"), what="all handled")
    finally:
        for loop in loops:
            loop.stop()
        await asyncio.gather(*tasks)
    effects = [row["n"] for row in await owner.fetch("select n from things.effects order by id")]
    assert failed
    for first in range(3):
        assert [n for n in effects if n % 3 == first] == list(range(first, 60, 3))


@pytest.mark.parametrize(("pool_size", "count"), [(2, 1), (4, 2), (10, 4), (200, 4)])
def test_the_loops_leave_half_of_the_pool_to_others(pool_size: int, count: int, database: Database) -> None:
    loops = retries(database).loops(pool_size=pool_size)
    assert [loop.name for loop in loops] == [f"dead_letters_{n}" for n in range(1, count + 1)]


FILL = """
insert into things.dead_letters (lane, topic, partition, "offset", key_digest, source, message_id, sealed_record, reason,
    attempts, next_attempt_at, parked_at)
select 'urgent', 't', 0, n, sha256((case when $1 then 'one key' else n::text end)::bytea), 'test', n::text,
    repeat('x', 1500), 'x', 1, now() - interval '1 second', case when $1 and n = 1 then now() end
from generate_series(1, 10000) n"""


@pytest.mark.parametrize("behind_one", [False, True], ids=["own keys", "behind one that is parked"])
@pytest.mark.parametrize("analysed", [False, True])
async def test_ten_thousand_that_wait_do_not_make_a_claim_look_at_them_all(
    behind_one: bool, analysed: bool, database: Database, owner: Owner
) -> None:
    await owner.execute(FILL, behind_one)
    if analysed:
        await owner.execute("analyze things.dead_letters")
    statements: list[tuple[str, tuple[float, ...]]] = [
        (dead_letters.POSTPONE_FOLLOWERS, (30.0,)),
        (dead_letters.CLAIM_DUE, (1.5, 10.0)),
    ]
    for statement, values in statements:
        async with database.transaction() as conn:
            plan = json.loads(await conn.fetchval(f"explain (analyze, format json) {statement}", *values))[0]["Plan"]
        looked_up = [node["Actual Loops"] for node in nodes(plan) if node.get("Index Name") == "dead_letters_by_key"]
        assert looked_up
        assert max(looked_up) <= 200


async def test_those_behind_a_parked_one_are_looked_at_ever_more_seldom(database: Database, owner: Owner) -> None:
    await owner.execute(FILL, True)
    async with database.transaction() as conn:
        assert await dead_letters.claim_due(conn, seconds=10) is None
    soonest = "select extract(epoch from min(next_attempt_at) - now())::float8 from things.dead_letters where id > 1"
    assert 25 < await owner.fetchval(soonest) <= 30
    for age, pause in (("5 minutes", 300), ("3 days", 3600)):
        await owner.execute(
            "update things.dead_letters set next_attempt_at = now(), set_aside_at = now() - $1::text::interval", age
        )
        async with database.transaction() as conn:
            assert await dead_letters.claim_due(conn, seconds=10) is None
        assert pause - 5 < await owner.fetchval(soonest) <= pause + 5
