"""What the handlers of `things` wrote, waited for; and sending messages for them to act on."""

from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from contracts.message import Message
from tests.conftest import Bus
from tests.support import bus as stranger
from tests.support.lanes import TOPIC, headers
from tests.support.waiting import until

if TYPE_CHECKING:
    Owner = asyncpg.Connection[asyncpg.Record]
else:
    Owner = asyncpg.Connection


async def send(bus: Bus, message: Message, *, event_id: str | None = None) -> None:
    await stranger.write(
        bus.bootstrap,
        bus.prefix + TOPIC,
        message.model_dump_json().encode(),
        key=message.key.encode(),
        headers=headers(message.type, event_id=event_id),
    )


async def effects_of(owner: Owner, thing: UUID) -> list[int]:
    return [
        row["n"] for row in await owner.fetch("select n from things.effects where thing_id = $1 order by id", thing)
    ]


async def expect_effects(owner: Owner, thing: UUID, *wanted: int) -> None:
    async def found() -> bool:
        return await effects_of(owner, thing) == list(wanted)

    await until(found, what=f"the effects {wanted}")


async def effects_until(owner: Owner, thing: UUID, last: int) -> list[int]:
    """Wait for one effect and give all that there are then: to those that a test wants, it holds them itself."""

    async def found() -> list[int] | None:
        effects = await effects_of(owner, thing)
        return effects if last in effects else None

    return await until(found, what=f"the effect {last}")


async def parked(owner: Owner, count: int) -> list[asyncpg.Record]:
    async def found() -> list[asyncpg.Record] | None:
        rows = await owner.fetch("select * from things.dead_letters where parked_at is not null order by id")
        return rows if len(rows) == count else None

    return await until(found, what=f"{count} parked messages")
