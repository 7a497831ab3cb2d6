"""A Kafka client that fails is replaced: it would lose what it had taken, or fail for ever, and say nothing."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import CorruptRecordException, KafkaError
from prometheus_client import REGISTRY

from chassis.consume import Consumer
from chassis.postgres import Database
from tests.chassis.http_app import logged
from tests.conftest import Bus
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import consuming, handlers
from tests.support.things import ThingHappened
from tests.support.waiting import InVain, until

pytestmark = [pytest.mark.goal("rel-R7"), pytest.mark.usefixtures("effects")]


def failures_counted() -> float:
    return REGISTRY.get_sample_value("samband_consumer_failures_total", {"lane": "urgent"}) or 0


async def test_a_coordinator_s_strange_answer_does_not_end_the_reading(
    database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's task that asks for offsets ends with the first error it does not know, and every poll then raises it."""
    ask, answers = GroupCoordinator._do_fetch_commit_offsets, 0

    async def strange_once(self: Any, partitions: Any) -> Any:
        nonlocal answers
        answers += 1
        if answers == 1:
            raise KafkaError("x")
        return await ask(self, partitions)

    monkeypatch.setattr(GroupCoordinator, "_do_fetch_commit_offsets", strange_once)
    thing, before = uuid4(), failures_counted()
    with logged() as lines:
        async with consuming(database, bus, handlers()):
            await send(bus, ThingHappened(thing_id=thing, n=1))
            assert await _comes_through(owner, thing)
    (line,) = [line for line in lines if line["event"] == "consumer_failed"]
    assert failures_counted() == before + 1
    assert isinstance(line["exc_info"], KafkaError)


@pytest.mark.parametrize("error", [KeyError("x"), asyncio.CancelledError()])
async def test_a_fetching_task_that_ended_does_not_end_the_reading(
    error: BaseException, database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody watches the client's task that fetches: polls go on, and find nothing."""
    fetch, fetched = Fetcher._proc_fetch_request, 0

    async def fails_once(self: Any, *request: Any) -> Any:
        nonlocal fetched
        fetched += 1
        if fetched == 1:
            raise error
        return await fetch(self, *request)

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", fails_once)
    thing = uuid4()
    async with consuming(database, bus, handlers()):
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)


@pytest.mark.parametrize("error", [CorruptRecordException("x"), AssertionError()])
async def test_what_was_taken_before_a_partition_failed_is_read_again(
    error: Exception, database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client takes record by record from each partition, and forgets all that it has when one of them fails."""
    take, taken = FetchResult.getall, 0

    def fails_behind_another(self: Any, max_records: int | None = None) -> Any:
        nonlocal taken
        found = take(self, max_records)
        taken += 1
        if taken == 1:
            raise error
        return found

    monkeypatch.setattr(FetchResult, "getall", fails_behind_another)
    thing = uuid4()
    async with consuming(database, bus, handlers()):
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)


async def test_a_client_that_is_gone_leaves_no_partition_behind(database: Database, bus: Bus, owner: Owner) -> None:
    """It does not tell that its partitions went to another worker; a look back at them would be in vain for ever."""
    thing = uuid4()
    async with consuming(database, bus, handlers()) as one, consuming(database, bus, handlers()) as two:
        for n in range(3):
            await send(bus, ThingHappened(thing_id=thing, n=n))
        await expect_effects(owner, thing, 0, 1, 2)
        gone = one.client
        one.fail(KafkaError("x"))

        async def shared_again() -> bool:
            clients = (one.client, two.client)
            return one.client is not gone and all(client and client.assignment() for client in clients)

        await until(shared_again, what="both to hold some")
        await until(lambda: _no_more_than_it_holds(one), what="the first to know what it holds")


async def _comes_through(owner: Owner, thing: UUID) -> bool:
    try:
        await expect_effects(owner, thing, 1)
    except InVain:
        return False
    return True


async def _no_more_than_it_holds(consumer: Consumer) -> bool:
    held = {consumer._own(partition) for partition in consumer.client.assignment()}
    return consumer._reached.keys() == held
