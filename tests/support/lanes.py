"""A consumer of `things` over real Kafka, whose handlers write what they did and fail on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from chassis.consume import Consumer
from chassis.dead_letters import Retries
from chassis.handlers import Handlers, Lane
from chassis.postgres import Connection, Database
from contracts.message import Envelope, Headers
from contracts.topics import ACCOUNTS
from tests.conftest import Bus
from tests.support.things import ThingHappened, ThingReplaced, ThingWhispered

Trouble = Callable[[int], Awaitable[None]]

CREATE_EFFECTS = """
create table things.effects (id bigint generated always as identity, thing_id uuid, n integer, event_id text);
grant select, insert on things.effects to things_app"""
INSERT_EFFECT = "insert into effects (thing_id, n, event_id) values ($1, $2, $3)"


def handlers(trouble: Trouble | None = None, *, seconds: float = 20.0) -> Handlers:
    """Handlers that write an effect a message; `trouble` is asked first and may raise, hang or kill."""
    found = Handlers(seconds=seconds)

    @found.on(ThingHappened, lane=Lane.URGENT)
    async def note(conn: Connection, message: ThingHappened, envelope: Envelope) -> None:
        if trouble is not None:
            await trouble(message.n)
        await conn.execute(INSERT_EFFECT, message.thing_id, message.n, envelope.id)

    @found.on(ThingReplaced, lane=Lane.URGENT)
    async def replace(conn: Connection, message: ThingReplaced, envelope: Envelope) -> None:
        await conn.execute(INSERT_EFFECT, message.thing_id, message.n, envelope.id)

    @found.on(ThingWhispered, lane=Lane.URGENT)
    async def hear(conn: Connection, message: ThingWhispered, envelope: Envelope) -> None:
        await conn.execute(INSERT_EFFECT, message.thing_id, len(message.secret.clear), envelope.id)

    return found


@asynccontextmanager
async def consuming(database: Database, bus: Bus, found: Handlers, *, retrying: bool = True) -> AsyncIterator[Consumer]:
    """Run the consumer and the loop of retries; stop them in order."""
    consumer = Consumer(database, found, Lane.URGENT, bootstrap=bus.bootstrap, topic_prefix=bus.prefix)
    retries = Retries(database, found).loops(pool_size=10, every=0.05) if retrying else []
    tasks = [asyncio.create_task(consumer.run()), *(asyncio.create_task(loop.run()) for loop in retries)]
    try:
        async with asyncio.timeout(30):
            await consumer.assigned.wait()
        yield consumer
    finally:
        consumer.stop()
        for loop in retries:
            loop.stop()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks)


def headers(
    kind: str, changes: Mapping[str, bytes | None] | None = None, *, event_id: str | None = None
) -> list[tuple[str, bytes]]:
    """Make the headers of a right event of `things`; `changes` replace (or with None remove) single ones."""
    right = Headers(uuid4(), "things", kind, "subject").as_dict()
    right |= {"ce_time": "2026-01-01T00:00:00+00:00", "ce_id": event_id or str(uuid4())}
    raw: dict[str, bytes | None] = {name: value.encode() for name, value in right.items()}
    raw |= changes or {}
    return [(name, value) for name, value in raw.items() if value is not None]


async def write_in_a_transaction(bus: Bus, message: ThingHappened) -> None:
    """Write a message in a transaction of Kafka's, which leaves a mark behind it; no service of ours does."""
    producer = AIOKafkaProducer(bootstrap_servers=bus.bootstrap, transactional_id=str(uuid4()))
    await producer.start()
    try:
        async with producer.transaction():
            value, key = message.model_dump_json().encode(), message.key.encode()
            await producer.send_and_wait(bus.prefix + TOPIC, value, key=key, headers=headers(message.type))
    finally:
        await producer.stop()


def body(**fields: Any) -> bytes:
    return json.dumps(fields, default=str).encode()


TOPIC = ACCOUNTS.name
