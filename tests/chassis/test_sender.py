"""The sender throws its producer away after a failure, however badly that producer ends."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.errors import KafkaConnectionError

from chassis import kafka
from chassis.kafka import NoTopic, Sender
from contracts.topics import ACCOUNTS
from tests.conftest import Bus


@pytest.mark.goal("rel-R7")
@pytest.mark.parametrize("error", [KeyError, asyncio.TimeoutError])
async def test_a_producer_that_cannot_end_is_gone_with_its_connections(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    async def fail() -> None:
        raise error

    sender = Sender(bus.bootstrap, "test", bus.prefix)
    await sender.partition(ACCOUNTS.name, "key")
    producer = await sender._started()
    with monkeypatch.context() as patched:
        patched.setattr(producer._sender, "close", fail)
        await sender.discard()
    assert producer.client._sync_task is None
    assert not any(connection.connected() for connection in producer.client._conns.values())
    assert await sender.partition(ACCOUNTS.name, "key") >= 0
    await sender.close()
    await producer._sender.close()


async def test_a_topic_that_no_broker_knows_is_missing(bus: Bus) -> None:
    sender = Sender(bus.bootstrap, "test", bus.prefix)
    with pytest.raises(NoTopic):
        await sender.partition("nowhere.v1", "key")
    await sender.close()


def silence() -> asyncio.Future[bool]:
    return asyncio.get_running_loop().create_future()


def refusal() -> asyncio.Future[bool]:
    answer = silence()
    answer.set_result(False)
    return answer


@pytest.mark.goal("rel-R7")
@pytest.mark.parametrize(("answer", "error"), [(silence, TimeoutError), (refusal, KafkaConnectionError)])
async def test_a_topic_is_not_missing_because_no_broker_answers(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], asyncio.Future[bool]], error: type[Exception]
) -> None:
    monkeypatch.setattr(kafka, "ANSWER_SECONDS", 0.2)
    sender = Sender(bus.bootstrap, "test", bus.prefix)
    producer = await sender._started()
    with monkeypatch.context() as patched:
        patched.setattr(producer.client, "force_metadata_update", answer)
        with pytest.raises(error):
            await sender.partition(ACCOUNTS.name, "key")
    assert await sender.partition(ACCOUNTS.name, "key") >= 0
    await sender.close()
