"""An outage right after a start: the message is tried alone then, and is not to blame."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from faststream.kafka import KafkaBroker

from chassis.consume import Consumer
from chassis.handlers import Lane
from chassis.postgres import Database
from tests.conftest import Bus
from tests.support.effects import Owner, effects_of, send
from tests.support.lanes import consuming, handlers
from tests.support.things import ThingHappened
from tests.support.waiting import until

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

    async def handled_or_set_aside() -> list[int] | None:
        letters = [-1] * await owner.fetchval("select count(*) from things.dead_letters")
        return await effects_of(owner, thing) + letters or None

    async with consuming(database, bus, handlers(trouble), retrying=False):
        await send(bus, ThingHappened(thing_id=thing, n=1))
        assert await until(handled_or_set_aside, what="an effect or a dead letter") == [1]
    assert outages == []


async def test_a_kafka_that_is_away_while_a_consumer_is_told_to_stop_is_no_failure_of_it(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Consumer(database, handlers(), Lane.URGENT, bootstrap=bus.bootstrap, topic_prefix=bus.prefix)

    async def refused(_: KafkaBroker) -> None:
        consumer.stop()
        raise KafkaConnectionError

    monkeypatch.setattr(KafkaBroker, "start", refused)
    async with asyncio.timeout(30):
        await consumer.run()
    assert not consumer.assigned.is_set()
