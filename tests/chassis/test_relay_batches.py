"""More messages than one batch of the relay holds."""

import asyncio
import json
import secrets
from uuid import uuid4

import asyncpg
import pytest

from chassis import outbox
from chassis.kafka import Sender
from chassis.postgres import Database
from chassis.relay import Relay
from contracts.topics import ACCOUNTS
from tests.conftest import Bus, Clone
from tests.support import bus as stranger
from tests.support.things import happened
from tests.support.waiting import until


@pytest.mark.goal("rel-R1")
@pytest.mark.goal("rel-R3")
async def test_what_does_not_fit_into_a_batch_goes_with_the_next_in_order(
    database: Database, bus: Bus, clone: Clone, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    thing = uuid4()
    async with database.transaction() as conn:
        for n in range(8):
            await outbox.add(conn, happened(n, thing, note=secrets.token_hex(50_000)))
    relay = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", bus.prefix))
    leading = asyncio.create_task(relay.run())
    try:
        async with stranger.reading(bus.bootstrap, bus.prefix + ACCOUNTS.name) as reader:
            await until(lambda: owner.fetchval("select count(*) = 0 from things.outbox"), what="an empty outbox")
            records = await stranger.take_to_the_end(reader)
    finally:
        relay.stop()
        await leading
    assert [json.loads(record.value)["n"] for record in records] == list(range(8))
