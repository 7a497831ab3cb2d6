"""Trials: the first messages after a start are counted before they are tried, for one of them may have killed us."""

import asyncio
import signal
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from chassis import failpoints
from chassis.consume import Consumer
from chassis.dead_letters import DEATHS
from chassis.handlers import Lane
from chassis.postgres import Database
from tests.conftest import Bus, Clone
from tests.support.effects import Owner, effects_of, expect_effects, parked, send
from tests.support.lanes import TOPIC, body, consuming, handlers, headers
from tests.support.things import ThingHappened
from tests.support.workers import worker

pytestmark = pytest.mark.usefixtures("effects")


class PowerCut(BaseException):
    """Ends the trial where a SIGKILL would end the process."""


class Client:
    """Stands in for Kafka's client, which is told where to read on."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Be told."""


async def started(database: Database) -> Consumer:
    """Give a consumer as it is right after its start, with its partition assigned."""
    consumer = Consumer(database, handlers(), Lane.URGENT, bootstrap="unused")
    await consumer.position(Client(), [TopicPartition(TOPIC, 0)])
    return consumer


@pytest.mark.goal("rel-R10")
async def test_a_message_that_kills_the_process_at_each_start_is_set_aside_at_last(
    database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(place: str) -> None:
        if place == "consumer.handled":
            raise PowerCut

    thing = uuid4()
    record = ConsumerRecord(
        TOPIC, 0, 7, 0, 0, b"k", body(thing_id=thing, n=1), None, 0, 0, tuple(headers("auth.ThingHappened.v1"))
    )
    with monkeypatch.context() as deadly:
        deadly.setattr(failpoints, "_hooks", [die])
        for _ in range(DEATHS):
            with pytest.raises(PowerCut):
                await (await started(database)).receive((record,))
    await (await started(database)).receive((record,))
    assert await effects_of(owner, thing) == []
    reason = await owner.fetchval("select reason from things.dead_letters")
    assert reason is not None and "died at least 3 times" in reason


@pytest.mark.goal("rel-R10")
@pytest.mark.timeout(120)
async def test_a_message_that_kills_real_processes_is_parked_after_three_and_the_others_go_on(
    clone: Clone, bus: Bus, owner: Owner
) -> None:
    well = uuid4()
    for n in (-1, 1, 2):
        await send(bus, ThingHappened(thing_id=well if n > 0 else uuid4(), n=n))
    for _ in range(DEATHS):
        async with worker("tests.support.deadly", clone, bus) as doomed:
            await doomed.ended()
        assert doomed.process.returncode == -signal.SIGKILL
    async with worker("tests.support.deadly", clone, bus):
        (row,) = await parked(owner, 1)
        await expect_effects(owner, well, 1, 2)
    assert "died at least 3 times" in row["reason"]


@pytest.mark.goal("rel-R10")
async def test_starts_and_stops_in_an_outage_are_no_deaths(database: Database, bus: Bus, owner: Owner) -> None:
    """A rolling restart while a table is locked must not park the first message of each partition."""
    thing = uuid4()
    await send(bus, ThingHappened(thing_id=thing, n=1))
    for _ in range(DEATHS + 1):
        tried = asyncio.Event()

        async def trouble(_n: int, tried: asyncio.Event = tried) -> None:
            tried.set()
            raise asyncpg.LockNotAvailableError("x")

        async with consuming(database, bus, handlers(trouble), retrying=False), asyncio.timeout(20):
            await tried.wait()
    async with consuming(database, bus, handlers(), retrying=False):
        await expect_effects(owner, thing, 1)
    assert await owner.fetchval("select count(*) from things.dead_letters") == 0
