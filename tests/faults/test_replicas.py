"""Many workers of one service: they share the work, come and go under load, and one relay leads."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.local.folders import own_folder
from tests.faults import shares
from tests.faults.history import Command, History, Outcome
from tests.faults.injuries import Scene, cut_relay, freeze_relay, relay_leader, relay_leaders, wake_relay
from tests.faults.round import Order, Result, play
from tests.faults.stage import PAIR, Stage, single_broker, stage, units
from tests.support.lengths import FULL
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(240), pytest.mark.goal("rel-R1", "rel-R2", "rel-R3")]

MORE = units("ledger worker-3", "ledger worker-4", "mirror worker-3", "mirror worker-4")
COMMANDS, PACE = 160, 40.0
SESSION_SECONDS = 2.0
"""As the platform on one machine sets it."""
SOON = SESSION_SECONDS + 13
"""The session, and what a rebalance takes on a machine that has other work."""
STOP_SECONDS = 25.0
SETTINGS = {"SAMBAND_DRAIN_SECONDS": "3"}


@pytest.fixture(scope="module")
async def eight() -> AsyncIterator[Stage]:
    with own_folder("test") as folder:
        async with (
            single_broker(folder) as broker,
            stage(folder, broker, units=(*PAIR, *MORE), settings=SETTINGS) as found,
        ):
            yield found


@asynccontextmanager
async def under_load(
    stage: Stage, *, commands: int = COMMANDS, pace: float = PACE, books: int = 25
) -> AsyncIterator["asyncio.Task[Result]"]:
    """Give commands during the block; afterwards nothing may be lost, doubled, disordered or stuck."""
    order = Order(1, commands, 0, pace, [], misbehaving_mail=False, books=books)
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(play(stage, order))
        yield playing
    assert playing.result().findings.lines() == []
    assert playing.result().fallen == []
    assert playing.result().stuck == []


async def test_two_and_four_workers_share_the_partitions_and_come_and_go_in_order(eight: Stage) -> None:
    four = await shares.shared_out(eight, 4, seconds=SOON)
    async with under_load(eight):
        for unit in units("mirror worker-3", "mirror worker-4"):
            await eight.dismiss(unit, within=STOP_SECONDS)
        two = await shares.shared_out(eight, 2, seconds=SOON)
        for unit in units("mirror worker-3", "mirror worker-4"):
            eight.keep(unit)
        await shares.shared_out(eight, 4, seconds=60)
    assert two.keys() < four.keys()
    assert sorted(map(len, four.values())) == [1, 1, 2, 2]
    assert sorted(map(len, two.values())) == [3, 3]


async def test_a_killed_workers_share_goes_to_the_others_when_its_session_is_over(eight: Stage) -> None:
    await shares.shared_out(eight, 4, seconds=SOON)
    async with under_load(eight):
        async with eight.keeper("mirror", "worker-2").away():
            await shares.shared_out(eight, 3, seconds=SOON)
        await shares.shared_out(eight, 4, seconds=60)


async def kill_relay(scene: Scene) -> None:
    await (await relay_leader(scene.stage)).kill()


HAND_OVERS = [kill_relay, cut_relay, wake_relay, *([freeze_relay] if FULL else [])]


@pytest.mark.parametrize("hand_over", HAND_OVERS, ids=lambda hand_over: hand_over.__name__)
async def test_one_of_four_relays_leads_and_the_next_one_keeps_the_order(
    eight: Stage, hand_over: Callable[[Scene], Awaitable[None]]
) -> None:
    before = await the_leader(eight)
    async with under_load(eight, books=3), eight.admin() as conn:
        await until(lambda: conn.fetchval("select count(*) > 20 from ledger.outbox_published"), what="some load")
        await hand_over(Scene(eight, random.Random(1), History(), await conn.fetchval("select now()")))
    assert await the_leader(eight) != before


@pytest.mark.goal("rel-R12")
async def test_every_copy_is_restarted_under_load_and_no_request_fails(eight: Stage) -> None:
    restarted = [*eight.of("ledger", "worker")[:2], *eight.of("mirror", "worker")[:2]]
    async with under_load(eight, commands=1000, pace=50.0) as playing:
        for copy in eight.of("ledger", "api"):
            async with eight.rotation.without(copy):
                await copy.terminate(within=STOP_SECONDS)
                await copy.ready()
        for worker in restarted:
            await worker.terminate(within=STOP_SECONDS)
            await worker.ready()
    assert failed(playing.result()) == []


@pytest.mark.goal("rel-R12")
async def test_a_copy_that_is_told_to_stop_before_the_requests_go_elsewhere_fails_none(eight: Stage) -> None:
    async with eight.rotation.watching(), under_load(eight, commands=600, pace=50.0) as playing:
        for copy in eight.of("ledger", "api"):
            await copy.terminate(within=STOP_SECONDS)
            await copy.ready()
            await until(lambda: eight.rotation.takes(copy), what=f"requests to {copy.unit} again")  # noqa: B023
    assert failed(playing.result()) == []


def failed(result: Result) -> list[Command]:
    """List the requests that were not answered at once by whom they were sent to."""
    return [command for command in result.history.commands if command.tries > 1 or command.outcome is Outcome.UNKNOWN]


HOLDERS = """
select l.pid from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and a.application_name = 'samband ledger relay'"""


async def the_leader(stage: Stage) -> int:
    """Wait until one worker alone says that it leads, and give the session that holds the lock."""

    async def found() -> int | None:
        async with stage.admin() as conn:
            holders = [row[0] for row in await conn.fetch(HOLDERS)]
        return holders[0] if len(holders) == len(await relay_leaders(stage)) == 1 else None

    return await until(found, what="one relay that leads", seconds=30)
