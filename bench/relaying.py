"""Relaying: the process that moves the outbox to Kafka, by the product's relay or by the textbook's."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import uvloop

from bench import remote
from bench.events import SERVICE
from bench.ground import identity
from bench.places import Place
from bench.samples import Samples
from bench.textbook import TextbookRelay
from chassis import tracing
from chassis.kafka import Outcome, Sender
from chassis.outbox import BELL, Owed
from chassis.postgres import open_database
from chassis.relay import Relay


class TimedSender(Sender):
    """Notes when Kafka acknowledged each event."""

    def __init__(self, bootstrap: str, topic_prefix: str, samples: Samples) -> None:
        super().__init__(bootstrap, "bench-relay", topic_prefix)
        self._samples = samples

    async def send(self, topic: str, partition: int, rows: Sequence[Owed]) -> tuple[Outcome, int]:
        outcome, taken = await super().send(topic, partition, rows)
        moment = time.monotonic_ns()
        if outcome is Outcome.ACKNOWLEDGED:
            for row in rows[:taken]:
                self._samples.add(row.message_id.bytes, moment)
        return outcome, taken


async def main() -> None:
    orders = remote.orders()
    place = Place()
    async with open_database(orders["url"], identity(orders), size=2) as database:
        relay = _relay(orders, place.samples)
        if isinstance(relay, Relay):
            database.bell.hear(BELL, relay.wake)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run())
            await remote.obey(orders["socket"], place.commands())
            relay.stop()


def _relay(orders: dict[str, Any], samples: Samples) -> Relay | TextbookRelay:
    if orders["kind"] == "textbook":
        return TextbookRelay(orders["url"], orders["kafka"], orders["prefix"], samples)
    return Relay(orders["url"], SERVICE, TimedSender(orders["kafka"], orders["prefix"], samples))


if __name__ == "__main__":
    with tracing.sending(SERVICE, "1"):
        uvloop.run(main())
