"""Kafka's address may name several servers, of which some are away."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from chassis import outbox
from chassis.kafka import Sender
from chassis.postgres import Database
from chassis.relay import Relay
from tests.conftest import Bus, Clone
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import consuming, handlers
from tests.support.things import happened

pytestmark = [pytest.mark.usefixtures("effects"), pytest.mark.goal("rel-R7")]


@pytest.fixture
def servers(bus: Bus) -> Bus:
    return replace(bus, bootstrap=f"127.0.0.1:1,{bus.bootstrap}")


async def test_a_consumer_finds_the_server_that_is_there(
    database: Database, servers: Bus, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, servers, handlers()):
        await send(bus, happened(1, thing))
        await expect_effects(owner, thing, 1)


async def test_a_relay_finds_the_server_that_is_there(
    database: Database, clone: Clone, servers: Bus, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    relay = Relay(clone.urls("things").app, "things", Sender(servers.bootstrap, "relay", servers.prefix))
    leading = asyncio.create_task(relay.run())
    async with consuming(database, bus, handlers()):
        async with database.transaction() as conn:
            await outbox.add(conn, happened(1, thing))
        await expect_effects(owner, thing, 1)
    relay.stop()
    await leading
