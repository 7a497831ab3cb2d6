"""What makes tokens void ends the account's sessions and tells every service, once, with the epoch that counts."""

import json
from typing import Any
from uuid import uuid4

import pytest

from services.auth.people import security
from tests.auth.world import Owner, World

KARI, OLA = "kari@example.no", "ola@example.no"


async def told(world: World) -> list[dict[str, Any]]:
    async with world.database.transaction() as conn:
        rows = await conn.fetch("select payload from outbox where type = 'auth.TokensVoided.v1' order by id")
    return [json.loads(row["payload"]) for row in rows]


@pytest.mark.goal("sec-A10")
async def test_voiding_ends_every_session_of_the_account_and_tells_from_which_epoch_on_tokens_count(
    world: World, owner: Owner
) -> None:
    kari = await world.add(KARI)
    await world.add(OLA)
    here, there, other = [await world.logged_in(address) for address in (KARI, KARI, OLA)]
    async with world.database.transaction() as conn:
        await security.void_tokens(conn, kari.id)
    assert [(await browser.session()).status_code for browser in (here, there, other)] == [401, 401, 200]
    (fact,) = await told(world)
    assert fact["account_id"] == str(kari.id)
    assert fact["below_epoch"] == (1 << 32) + 2
    assert fact["session_id"] is None
    assert await owner.fetchval("select security_epoch from auth.accounts where id = $1", kari.id) == 2


@pytest.mark.goal("sec-A10")
async def test_one_session_may_be_left(world: World, owner: Owner) -> None:
    kari = await world.add(KARI)
    here, there = await world.logged_in(KARI), await world.logged_in(KARI)
    left = await owner.fetchval("select id from auth.sessions order by started_at limit 1")
    async with world.database.transaction() as conn:
        await security.void_tokens(conn, kari.id, except_session=left)
    assert [(await browser.session()).status_code for browser in (here, there)] == [200, 401]


async def test_an_account_that_is_no_more_has_no_tokens(world: World) -> None:
    async with world.database.transaction() as conn:
        await security.void_tokens(conn, uuid4())
    assert await told(world) == []
