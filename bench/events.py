"""Events: the one message that is measured, and the rows beside it; small as most facts are."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

from chassis import migrate, outbox
from chassis.postgres import Connection, Database
from contracts.message import Headers, Id, Message
from contracts.privacy import Privacy
from contracts.topics import Topic

SERVICE = "bench"
EVENTS = Topic("bench.events.v1")
AGGREGATES = 1_000
"""So many keys share the events: enough for every partition, few enough that each has an order to keep."""
DATA = "x" * 255
"""Makes the value 319 bytes."""


class EventHappened(Message, topic=EVENTS, key="aggregate_id"):
    """Something happened; only the measurement cares what."""

    aggregate_id: Id
    data: Annotated[str, Privacy.OPEN]


def migrations() -> list[migrate.Migration]:
    return migrate.of_service(SERVICE, Path(__file__).parent / "migrations")


def some_aggregate(chance: Callable[[int], int] = random.randrange) -> UUID:
    return UUID(int=chance(AGGREGATES))


INSERT_EVENT = "insert into events (aggregate_id, data) values ($1, $2)"


async def write(database: Database) -> UUID:
    """Do what is measured: a business row and the event that tells of it, in one transaction. Returns the event's id."""
    aggregate_id = some_aggregate()
    async with database.transaction() as conn:
        await conn.execute(INSERT_EVENT, aggregate_id, DATA)
        return await outbox.add(conn, EventHappened(aggregate_id=aggregate_id, data=DATA))


INSERT_EFFECT = "insert into effects (aggregate_id, data) values ($1, $2)"


async def note(conn: Connection, event: EventHappened) -> None:
    """Do what the consumer does with an event: one row."""
    await conn.execute(INSERT_EFFECT, event.aggregate_id, event.data)


def sample() -> tuple[str, str]:
    """Give the headers and the value of an event as `outbox.add` writes them, for whoever writes rows without it."""
    nobody = UUID(int=0)
    headers = Headers(nobody, SERVICE, EventHappened.type, str(nobody))
    return json.dumps(headers.as_dict()), EventHappened(aggregate_id=nobody, data=DATA).model_dump_json()


# The header of each row must carry its own id: readers know messages by it.
INSERT_BACKLOG = """
with made as materialized (
    select uuidv7() as id, lpad(to_hex(n % $2), 12, '0') as key from generate_series(1, $1::int) n)
insert into outbox (message_id, topic, key, type, headers, payload, keeps_payload)
select id, $3, '00000000-0000-0000-0000-' || key, $4,
    replace($5, '00000000-0000-0000-0000-000000000000', id::text), $6, true from made"""


async def owe(conn: Connection, count: int) -> None:
    """Put so many events into the outbox at once."""
    headers, value = sample()
    await conn.execute(
        INSERT_BACKLOG, count, AGGREGATES, EVENTS.name, EventHappened.type, headers, value.encode(), timeout=120
    )
