"""A topic in trouble is left alone for a while: it does not keep the others waiting again and again."""

import asyncio
from collections.abc import Sequence

import pytest

from chassis import outbox
from chassis.kafka import Outcome, Sender
from chassis.postgres import Database
from chassis.relay import Relay
from contracts.topics import ACCOUNTS, CODES
from tests.conftest import Bus, Clone
from tests.support import bus as stranger
from tests.support.things import happened, whispered


@pytest.mark.goal("rel-R7")
async def test_a_topic_whose_sends_hang_keeps_no_other_topic_waiting(
    database: Database, bus: Bus, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, released, send = asyncio.Event(), asyncio.Event(), Sender.send

    async def hang_when_tried_again(
        self: Sender, topic: str, partition: int, rows: Sequence[outbox.Owed]
    ) -> tuple[Outcome, int]:
        if topic != ACCOUNTS.name:
            return await send(self, topic, partition, rows)
        if tried.is_set():
            await released.wait()
        tried.set()
        return Outcome.UNKNOWN, len(rows)

    monkeypatch.setattr(Sender, "send", hang_when_tried_again)
    monkeypatch.setattr("chassis.relay.backoff", lambda *_, **__: 3600.0)  # A hold outlasts the test.
    async with database.transaction() as conn:
        await outbox.add(conn, happened(0))
        await outbox.add(conn, whispered("one"))
    relay = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", bus.prefix))
    leading = asyncio.create_task(relay.run())
    try:
        async with stranger.reading(bus.bootstrap, bus.prefix + CODES.name) as reader:
            await stranger.take(reader, 1)
            assert tried.is_set()
            for word in ("two", "three"):
                async with database.transaction() as conn:
                    await outbox.add(conn, whispered(word))
                await stranger.take(reader, 1)
    finally:
        released.set()
        relay.stop()
        await leading
