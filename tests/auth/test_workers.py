"""The loops of auth: codes are issued when they are asked for, and what is over is forgotten."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.loop import Loop
from services.auth import workers
from tests.auth.world import Owner, World, age
from tests.support.waiting import until


def loops(world: World) -> list[Loop]:
    return workers.loops(world.database, keys=world.keys, chance=world.chance, limits=world.limits)


@contextmanager
def running(loop: Loop) -> "Iterator[asyncio.Task[None]]":
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        loop.stop()


async def test_a_code_is_issued_once_it_is_asked_for(world: World) -> None:
    issuing, *_ = loops(world)
    await world.add("kari@example.no")
    with running(issuing) as task:
        asked = [await world.browser().ask("kari@example.no") for _ in range(2)]

        async def issued() -> bool:
            return len(await world.mails()) == 2

        await until(issued, what="two codes")
    await task
    assert [str(mail.challenge_id) for mail in await world.mails()] == [shown["challenge_id"] for shown in asked]


async def test_what_is_over_is_forgotten(world: World, owner: Owner) -> None:
    *_, pruning = loops(world)
    await world.browser().ask("kari@example.no")
    await age(owner, "challenges", hours=24)
    with running(pruning) as task:

        async def forgotten() -> bool:
            return not await owner.fetch("select id from auth.challenges")

        await until(forgotten, what="an empty table")
    await task


async def test_whoever_is_blocked_is_told_by_the_worker_and_not_by_the_answer(world: World, owner: Owner) -> None:
    _, telling, _ = loops(world)
    await world.add_with_password("kari@example.no")
    for browser in world.browsers(5):
        await browser.log_in("kari@example.no", "feil feil feil feil")
    assert await world.told("auth.AccountBlocked.v1") == []
    await age(owner, "blocks", seconds=10)
    with running(telling) as task:

        async def told() -> bool:
            return len(await world.told("auth.AccountBlocked.v1")) == 1

        await until(told, what="the message about the block")
    await task
