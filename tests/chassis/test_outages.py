"""An outage right after a start: the message is tried alone then, and is not to blame."""

from uuid import uuid4

import asyncpg
import pytest

from chassis.postgres import Database
from tests.conftest import Bus
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import consuming, handlers
from tests.support.things import ThingHappened

pytestmark = pytest.mark.usefixtures("effects")


@pytest.mark.goal("rel-R7")
async def test_an_outage_is_no_fault_of_the_message_that_is_tried_alone(
    database: Database, bus: Bus, owner: Owner
) -> None:
    """Nobody retries what is set aside here: the effect comes from the consumer's own patience."""
    outages = [asyncpg.LockNotAvailableError("x"), asyncpg.DeadlockDetectedError("x")]

    async def trouble(_n: int) -> None:
        if outages:
            raise outages.pop()

    thing = uuid4()
    async with consuming(database, bus, handlers(trouble), retrying=False):
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)
    assert await owner.fetchval("select count(*) from things.dead_letters") == 0
