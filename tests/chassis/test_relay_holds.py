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
from tests.support.waiting import until


@pytest.mark.goal("rel-R7")
async def test_a_topic_whose_send_timed_out_keeps_no_other_topic_waiting_again(
    database: Database, bus: Bus, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, send = 0, Sender.send

    async def time_out(self: Sender, topic: str, partition: int, rows: Sequence[outbox.Owed]) -> tuple[Outcome, int]:
        if topic != ACCOUNTS.name:
            return await send(self, topic, partition, rows)
        nonlocal tries
        tries += 1
        return Outcome.UNKNOWN, len(rows)

    monkeypatch.setattr(Sender, "send", time_out)
    monkeypatch.setattr("chassis.relay.backoff", lambda *_, **__: 3600.0)  # A hold outlasts the test.
    async with database.transaction() as conn:
        await outbox.add(conn, happened(0))
        await outbox.add(conn, whispered("one"))
    relay = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", bus.prefix))
    leading = asyncio.create_task(relay.run())
    try:
        async with stranger.reading(bus.bootstrap, bus.prefix + CODES.name) as reader:

            async def taken_or_tried_again() -> bool:
                return tries > 1 or bool(await reader.getmany(timeout_ms=100))

            await stranger.take(reader, 1)
            for word in ("two", "three"):
                async with database.transaction() as conn:
                    await outbox.add(conn, whispered(word))
                await until(taken_or_tried_again, what=word)
                assert tries == 1  # Each other one would have kept what is owed to others waiting until it timed out.
    finally:
        relay.stop()
        await leading
