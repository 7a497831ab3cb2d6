"""Batches: one bad message costs the others of its batch nothing."""

from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from chassis.consume import Consumer
from chassis.handlers import Lane
from chassis.postgres import Database
from tests.chassis.test_trials import Client
from tests.support.effects import Owner, effects_of
from tests.support.lanes import TOPIC, body, handlers, headers

pytestmark = pytest.mark.usefixtures("effects")


@pytest.mark.goal("rel-R1")
@pytest.mark.goal("rel-R10")
async def test_a_batch_that_fails_is_handled_but_for_the_message_that_failed(database: Database, owner: Owner) -> None:
    async def trouble(n: int) -> None:
        if n == 2:
            raise ZeroDivisionError

    things = [uuid4() for _ in range(5)]
    consumer = Consumer(database, handlers(trouble), Lane.URGENT, bootstrap="unused")
    await consumer.position(Client(), [TopicPartition(TOPIC, 0)])
    await consumer.receive((record(things[0], 0),))  # The first after a start are taken one at a time anyway.
    await consumer.receive(tuple(record(thing, n) for n, thing in enumerate(things) if n > 0))
    assert [await effects_of(owner, thing) for thing in things] == [[0], [1], [], [3], [4]]
    assert await owner.fetchval("select count(*) from things.dead_letters") == 1


def record(thing: UUID, n: int) -> ConsumerRecord:
    given = tuple(headers("auth.ThingHappened.v1"))
    return ConsumerRecord(TOPIC, 0, n, 0, 0, str(thing).encode(), body(thing_id=thing, n=n), None, 0, 0, given)
