"""A request that comes again, also at the same time, has one effect and one answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from chassis import access, http, idempotency
from chassis.idempotency import IdempotencyKeyReused, RequestKey
from chassis.postgres import Connection, Database
from tests.chassis.http_app import client_of

KEY = RequestKey(b"c" * 32, "key-1", "POST /orders", b"d" * 32)


class Order(BaseModel):
    number: int
    note: str = Field(alias="remark")


class OrderWanted(BaseModel):
    what: str


def order(number: int) -> Order:
    return Order(number=number, remark="\0 ø")


class Desk:
    """Gives each order the next number, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.taken = 0

    async def take(self) -> Order:
        self.taken += 1
        return order(self.taken)


async def once(database: Database, key: RequestKey | None, work: Callable[[], Awaitable[Order]]) -> Order:
    async with database.transaction() as conn:
        return await idempotency.once(conn, key, Order, work)


async def age(database: Database, by: timedelta, key: str = "%") -> None:
    async with database.transaction() as conn:
        await conn.execute(
            "update idempotency_keys set created_at = created_at - $1::interval where key like $2", by, key
        )


async def test_the_same_request_again_gets_the_first_answer_and_does_nothing(database: Database) -> None:
    desk = Desk()
    answers = [await once(database, KEY, desk.take) for _ in range(3)]
    assert answers == [order(1)] * 3
    assert desk.taken == 1


async def test_without_a_key_every_request_is_done(database: Database) -> None:
    desk = Desk()
    assert [(await once(database, None, desk.take)).number for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("change", [{"route": "PUT /orders"}, {"request_digest": b"e" * 32}])
async def test_the_same_key_for_another_request_is_refused(database: Database, change: dict[str, Any]) -> None:
    desk = Desk()
    await once(database, KEY, desk.take)
    with pytest.raises(IdempotencyKeyReused):
        await once(database, replace(KEY, **change), desk.take)
    assert desk.taken == 1


async def test_another_callers_key_is_another_key(database: Database) -> None:
    desk = Desk()
    await once(database, KEY, desk.take)
    assert (await once(database, replace(KEY, caller=b"x" * 32), desk.take)).number == 2


async def test_many_at_the_same_time_are_one(database: Database) -> None:
    desk = Desk()
    answers = await asyncio.gather(*(once(database, KEY, desk.take) for _ in range(20)))
    assert answers == [order(1)] * 20
    assert desk.taken == 1


async def test_a_second_one_waits_for_the_first_to_commit(database: Database) -> None:
    desk, working, done = Desk(), asyncio.Event(), asyncio.Event()

    async def slow() -> Order:
        working.set()
        await done.wait()
        return await desk.take()

    first = asyncio.create_task(once(database, KEY, slow))
    await working.wait()
    second = asyncio.create_task(once(database, KEY, desk.take))
    await _somebody_waits(database)
    done.set()
    assert (await first, await second) == (order(1), order(1))
    assert desk.taken == 1


async def _somebody_waits(database: Database) -> None:
    waiting = (
        "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(10), database.transaction() as conn:
        while not await conn.fetchval(waiting):
            await conn.execute("select pg_stat_clear_snapshot()")


async def test_work_that_failed_leaves_the_key_free(database: Database) -> None:
    async def fail() -> Order:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await once(database, KEY, fail)
    assert (await once(database, KEY, Desk().take)).number == 1


async def test_a_key_whose_failure_was_committed_all_the_same_is_free_too(database: Database) -> None:
    async def fail() -> Order:
        raise RuntimeError

    async with database.transaction() as conn:
        with pytest.raises(RuntimeError):
            await idempotency.once(conn, KEY, Order, fail)
    assert (await once(database, KEY, Desk().take)).number == 1


async def test_answers_are_kept_for_a_day_by_the_databases_clock(database: Database) -> None:
    desk = Desk()
    await once(database, KEY, desk.take)
    await age(database, timedelta(hours=23, minutes=59))
    assert (await once(database, KEY, desk.take)).number == 1
    await age(database, timedelta(minutes=1))
    other = replace(KEY, request_digest=b"e" * 32)
    assert (await once(database, other, desk.take)).number == 2
    assert (await once(database, other, desk.take)).number == 2


async def test_many_at_the_same_time_take_over_an_expired_key_once(database: Database) -> None:
    desk = Desk()
    await once(database, KEY, desk.take)
    await age(database, timedelta(days=1))
    answers = await asyncio.gather(*(once(database, KEY, desk.take) for _ in range(20)))
    assert answers == [order(2)] * 20


async def test_pruning_deletes_what_expired_a_few_at_a_time(database: Database) -> None:
    desk = Desk()
    for number in range(5):
        await once(database, replace(KEY, key=f"old-{number}"), desk.take)
    await once(database, KEY, desk.take)
    await age(database, timedelta(days=1), "old-%")
    async with database.transaction() as conn:
        assert [await idempotency.prune(conn, 3) for _ in range(3)] == [3, 2, 0]
    assert (await once(database, KEY, desk.take)).number == 6


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    router, desk = APIRouter(dependencies=[access.anyone("a test asks")]), Desk()

    @router.post("/shops/{shop}/orders")
    async def place_order(request: Request, shop: str, wanted: OrderWanted, caller: str | None = None) -> Order:
        assert (shop, wanted.what) != ("", "")
        key = await idempotency.key_of(request, caller)
        return await once(database, key, desk.take)

    async with client_of(http.create_app(title="demo", version="1", routers=[router])) as client:
        yield client


async def _order(client: httpx2.AsyncClient, url: str, key: str | list[str], what: str = "tea") -> tuple[int, Any]:
    headers = [(b"Idempotency-Key", each.encode("latin-1")) for each in ([key] if isinstance(key, str) else key)]
    answer = await client.post(url, json={"what": what}, headers=headers)
    content = answer.json()
    return answer.status_code, content.get("number", content.get("type"))


REUSED = (422, "urn:samband:problem:idempotency-key-reused")
UNREADABLE = (400, "urn:samband:problem:idempotency-key-unreadable")


async def test_over_http_a_key_belongs_to_caller_path_query_and_body(client: httpx2.AsyncClient) -> None:
    assert await _order(client, "/shops/a/orders?caller=kari", "k1") == (200, 1)
    assert await _order(client, "/shops/a/orders?caller=kari", "k1") == (200, 1)
    assert await _order(client, "/shops/b/orders?caller=kari", "k1") == REUSED
    assert await _order(client, "/shops/a/orders?caller=kari&more=1", "k1") == REUSED
    assert await _order(client, "/shops/a/orders?caller=kari", "k1", "coffee") == REUSED
    assert await _order(client, "/shops/a/orders?caller=ola", "k1") == (200, 2)
    assert await _order(client, "/shops/a/orders?caller=kari", "k2") == (200, 3)


@pytest.mark.parametrize("key", ["", "k" * 129, "a b", "tab\there", "æ", ["k1", "k2"]])
async def test_a_key_that_cannot_be_read_is_refused(client: httpx2.AsyncClient, key: str | list[str]) -> None:
    assert await _order(client, "/shops/a/orders?caller=kari", key) == UNREADABLE


async def test_a_key_needs_a_caller_and_a_request_without_one_needs_none(client: httpx2.AsyncClient) -> None:
    refused = (400, "urn:samband:problem:idempotency-key-needs-caller")
    assert await _order(client, "/shops/a/orders", "k1") == refused
    assert await _order(client, "/shops/a/orders", []) == (200, 1)


async def test_the_longest_key_is_kept_and_nothing_in_it_can_be_misread(client: httpx2.AsyncClient) -> None:
    key = "!~'\"\\$1%s;--" + "k" * 116
    assert len(key) == 128
    assert [await _order(client, "/shops/a/orders?caller=kari", key) for _ in range(2)] == [(200, 1)] * 2


async def test_a_statement_finds_its_row_by_key(database: Database) -> None:
    async def plan(conn: Connection, statement: str, *values: object) -> str:
        await conn.execute("set local enable_seqscan = off")
        return str(await conn.fetch(f"explain {statement}", *values))

    async with database.transaction() as conn:
        assert "idempotency_keys_pk" in await plan(conn, idempotency.SELECT_ANSWER, KEY.caller, KEY.key)
        assert "idempotency_keys_by_age" in await plan(conn, idempotency.DELETE_EXPIRED, 10)
