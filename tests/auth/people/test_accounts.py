"""Accounts: each address once, each change told whole."""

import asyncio
import json
from collections import Counter

import pytest

from chassis.sealing import Place
from services.auth.people import accounts
from services.auth.people.addresses import normalise
from services.auth.people.errors import AddressTaken
from tests.auth.world import Owner, World

KARI = "kari@example.no"


async def told(world: World) -> list[dict[str, object]]:
    """Read what is owed about accounts, opened as notifications would."""
    async with world.database.transaction() as conn:
        rows = await conn.fetch("select * from outbox where type = 'auth.AccountChanged.v1' order by id")
    events = []
    for row in rows:
        event = json.loads(row["payload"])
        for name in ("address", "language"):
            event[name] = world.reader.open(event[name], Place(str(row["message_id"]), row["type"], name))
        events.append(event)
    return events


async def test_a_new_account_is_told_whole_as_its_first_version(world: World) -> None:
    account = await world.add("Kari@Example.no", "nn")
    expected = {
        "account_id": str(account.id),
        "epoch": 1,
        "version": 1,
        "active": True,
        "address": KARI,
        "language": "nn",
    }
    assert await told(world) == [expected]


async def test_nothing_of_a_person_is_told_in_the_clear(world: World, owner: Owner) -> None:
    await world.add(KARI)
    row = await owner.fetchrow("select payload, headers, key from auth.outbox")
    assert row is not None
    assert b"kari" not in row["payload"] + (row["headers"] + row["key"]).encode()


async def test_an_address_that_is_taken_is_refused_and_nothing_is_told(world: World) -> None:
    await world.add(KARI)
    with pytest.raises(AddressTaken):
        await world.add("KARI@example.no")
    assert len(await told(world)) == 1


async def test_of_many_who_add_an_address_at_once_one_succeeds(world: World) -> None:
    results = await asyncio.gather(*(world.add(KARI) for _ in range(20)), return_exceptions=True)
    assert Counter(type(result).__name__ for result in results) == {"Account": 1, "AddressTaken": 19}
    assert len(await told(world)) == 1


async def test_an_account_and_what_is_told_of_it_are_kept_together_or_not_at_all(world: World, owner: Owner) -> None:
    with pytest.raises(ZeroDivisionError):
        async with world.database.transaction() as conn:
            await accounts.add(conn, normalise(KARI), "nb")
            raise ZeroDivisionError
    assert await told(world) == []
    assert await owner.fetchval("select count(*) from auth.accounts") == 0
