"""The sender throws its producer away after a failure, however badly that producer ends."""

import asyncio

import pytest

from chassis.kafka import Sender
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
