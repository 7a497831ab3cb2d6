"""Reader: the process that consumes, with the product's consumer; it notes when each event's effect was committed."""

import asyncio
import time
from typing import Any

import uvloop
from aiokafka import ConsumerRecord

from bench import events, remote
from bench.events import SERVICE, EventHappened
from bench.ground import identity
from bench.places import Place
from chassis import tracing
from chassis.consume import Consumer
from chassis.handlers import Handlers, Lane
from chassis.postgres import Connection, open_database
from contracts.message import Envelope


class TimedConsumer(Consumer):
    """Notes the moment right after each batch's commit, before the offset goes to Kafka."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.place = Place()

    async def receive(self, records: tuple[ConsumerRecord, ...]) -> None:
        await super().receive(records)
        moment = time.monotonic_ns()
        for record in records:
            self.place.samples.add(_id(record), moment)


def _id(record: ConsumerRecord) -> bytes:
    return next(bytes.fromhex(value.decode().replace("-", "")) for name, value in record.headers if name == "ce_id")


def handlers(waits: float) -> Handlers:
    """Make the handlers: an effect for each event, after waiting for something slow that takes so many seconds."""
    made = Handlers()

    @made.on(EventHappened)
    async def note_event(conn: Connection, event: EventHappened, _envelope: Envelope) -> None:
        if waits:
            await asyncio.sleep(waits)
        await events.note(conn, event)

    return made


async def main() -> None:
    orders = remote.orders()
    async with open_database(orders["url"], identity(orders), size=4) as database:
        settings: dict[str, Any] = {"batch": orders["batch"]} if "batch" in orders else {}
        consumer = TimedConsumer(
            database,
            handlers(orders.get("waits", 0)),
            Lane.NORMAL,
            bootstrap=orders["kafka"],
            topic_prefix=orders["prefix"],
            **settings,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(consumer.run())
            await remote.obey(orders["socket"], {**consumer.place.commands(), "assigned": consumer.assigned.wait})
            consumer.stop()


if __name__ == "__main__":
    with tracing.sending(SERVICE, "1"):
        uvloop.run(main())
