"""Injuries: everything that is done to the platform while it works. Each ends healed; what it broke shows in the check."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import httpx2

from tests.faults.history import Command, History, Kind, Outcome
from tests.faults.keeper import Keeper
from tests.faults.ledger import entries
from tests.faults.stage import Stage
from tests.faults.wire import Way

FREEZE_SECONDS = 17.0
"""Longer than the 15 s after which Postgres ends a silent relay's session, and than any consumer's session."""
TERMINATE_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What an injury works on: `began` is the round's begin, `books` may get entries that nobody else adds."""

    stage: Stage
    chance: random.Random
    history: History
    began: datetime
    latest: int = 3
    """A process dies at the first to the `latest` time that it reaches its place."""


Injury = Callable[[Scene], Awaitable[None]]

PLACES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "api": ("ledger", "api", ("ledger.written", "ledger.owed", "ledger.committed")),
    "auth api": (
        "auth",
        "api",
        (
            *("codes.asked", "api.asked", "api.counted", "codes.used"),
            *("passwords.counted", "passwords.used", "passwords.set", "passwords.committed", "sessions.ended"),
        ),
    ),
    "users": (
        "auth",
        "api",
        ("users.edited", "users.committed", "rights.told", "rights.committed", "tokens.voided"),
    ),
    "codes": ("auth", "worker", ("codes.issued",)),
    "blocks": ("auth", "worker", ("blocks.told",)),
    "relay": ("ledger", "worker", ("relay.read", "relay.sent")),
    "consumer": ("mirror", "worker", ("consumer.claimed", "mirror.copied", "consumer.handled", "consumer.committed")),
    "retry": ("mirror", "worker", ("retry.counted",)),
    "courier": ("notifications", "worker", ("courier.claimed", "courier.confirmed", "courier.sent")),
    "mail consumer": ("notifications", "worker", ("consumer.claimed", "consumer.handled", "consumer.committed")),
}
"""Where each kind of process may die by its own hand: in the middle of a transaction, right before or after its commit."""


def dying(kind: str) -> Injury:
    """Make the injury of a SIGKILL at a named place."""
    service, role, places = PLACES[kind]

    async def die(scene: Scene) -> None:
        keepers = scene.stage.of(service, role)
        # A relay that was killed comes back while the other one leads: whoever leads next is to die.
        for keeper in keepers if kind == "relay" else [scene.chance.choice(keepers)]:
            await keeper.kill(next_place=f"{scene.chance.choice(places)}:{scene.chance.randint(1, scene.latest)}")

    return die


async def kill_anything(scene: Scene) -> None:
    """SIGKILL any process at any moment."""
    await scene.chance.choice(list(scene.stage.keepers.values())).kill()


async def cut_connections(scene: Scene) -> None:
    """End every session of a service in Postgres."""
    service = scene.chance.choice(["ledger", "mirror", "auth", "notifications"])
    async with scene.stage.admin() as conn:
        _some(await conn.fetch(END_SESSIONS, f"{service}_app"), "sessions")


async def restart_postgres(scene: Scene) -> None:
    """Stop Postgres at once, in the middle of everything, and start it again."""
    await scene.stage.restart_postgres()


async def pause_kafka(scene: Scene) -> None:
    """Freeze a broker for a few seconds."""
    await scene.stage.pause_kafka(scene.chance.uniform(2, 5))


async def crash_kafka(scene: Scene) -> None:
    """SIGKILL a broker and start it again."""
    await scene.stage.crash_kafka()


async def cut_relay(scene: Scene) -> None:
    """Take the lead from the relay that has it; the other one goes on."""
    async with scene.stage.admin() as conn:
        _some(await conn.fetch(END_LEAD), "leading relay")


async def freeze_relay(scene: Scene) -> None:
    """Freeze the leading relay until another leads, and let it wake with its last batch still in hand."""
    leader = await relay_leader(scene.stage)
    async with leader.frozen():
        await asyncio.sleep(FREEZE_SECONDS)


async def wake_relay(scene: Scene) -> None:
    """Freeze the leading relay, end its session as Postgres would after a while, and let it wake in its successor's time."""
    leader = await relay_leader(scene.stage)
    async with leader.frozen():
        await cut_relay(scene)
        await asyncio.sleep(scene.chance.uniform(1, 3))


async def freeze_consumer(scene: Scene) -> None:
    """Freeze a consumer for longer than its session: its partitions go to the other, then it wakes."""
    async with scene.chance.choice(scene.stage.of("mirror")).frozen():
        await asyncio.sleep(scene.chance.uniform(3, 6))


async def terminate(scene: Scene) -> None:
    """End a process in order, in the middle of the load; it must leave by itself within 25 s (rel-R12)."""
    await scene.chance.choice(list(scene.stage.keepers.values())).terminate(within=TERMINATE_SECONDS)


async def rewind(scene: Scene) -> None:
    """Send the mirror's readers back by a hundred records in each partition: those come again."""
    stage = scene.stage
    async with AsyncExitStack() as stack:
        for keeper in stage.of("mirror"):
            await stack.enter_async_context(keeper.away())
        async with stage.admin() as conn:
            await conn.execute("update mirror.consumer_positions set next_offset = greatest(0, next_offset - 100)")


async def replay(scene: Scene) -> None:
    """Have an operator send again all that the ledger published in this round."""
    since = scene.began.astimezone(UTC).isoformat()
    await scene.stage.platform.run("ledger", "outbox", "replay", "--since", since)


async def commit_in_reverse(scene: Scene) -> None:
    """Hold transactions open and commit them in the opposite order of their ids."""
    async with AsyncExitStack() as held:
        for _ in range(5):
            wanted = entries.Wanted(uuid4(), uuid4())
            command = scene.history.begin(Kind.ENTRY, str(wanted.book_id), wanted.entry_id)
            await held.enter_async_context(_settled(command))
            conn = await held.enter_async_context(scene.stage.ledger.transaction())
            await entries.add(conn, wanted)
        await asyncio.sleep(scene.chance.uniform(0.5, 3))


@asynccontextmanager
async def _settled(command: Command) -> AsyncIterator[None]:
    """Note a command as done when the transaction inside has committed; an outage leaves it unknown."""
    yield
    command.settle(Outcome.OK)


async def hold_lock(scene: Scene) -> None:
    """Lock what the mirror writes for longer than it waits for a lock: an outage that is no message's fault."""
    async with scene.stage.admin() as conn, conn.transaction():
        await conn.execute("lock table mirror.totals in exclusive mode")
        await asyncio.sleep(scene.chance.uniform(4, 6))


async def expire_soon(scene: Scene) -> None:
    """Let a few codes expire while the mail server sends everybody off."""
    post = scene.stage.post
    post.away = True
    try:
        async with scene.stage.admin() as conn:
            _some(await _expire(conn), "mails that wait")
        await asyncio.sleep(0.5)
    finally:
        post.away = False


async def _expire(conn: "asyncpg.Connection[asyncpg.Record]") -> Sequence[object]:
    """Let some mails expire, as soon as there are any; gives none when there were none for a while."""
    for _ in range(40):
        if expired := await conn.fetch(EXPIRE):
            return expired
        await asyncio.sleep(0.1)
    return ()


async def slow_wire(scene: Scene) -> None:
    """Let what passes between the platform and a server take two seconds each way."""
    async with scene.chance.choice(scene.stage.wires).slow(2.0):
        await asyncio.sleep(scene.chance.uniform(4, 8))


async def one_way_wire(scene: Scene) -> None:
    """Hold back what goes to a server, or what comes from it: one side hears the other, and is not heard."""
    async with scene.chance.choice(scene.stage.wires).one_way(scene.chance.choice(list(Way))):
        await asyncio.sleep(scene.chance.uniform(4, 8))


async def trickling_wire(scene: Scene) -> None:
    """Let each connection to a server pass a kilobyte a second."""
    async with scene.chance.choice(scene.stage.wires).trickling(1_000.0):
        await asyncio.sleep(scene.chance.uniform(4, 8))


async def reset_wire(scene: Scene) -> None:
    """Break all connections to a server in the middle of a frame."""
    await scene.chance.choice(scene.stage.wires).reset()


def _some(rows: Sequence[object], what: str) -> None:
    """Raise `LookupError` when there was nothing to hurt."""
    if not rows:
        raise LookupError(f"there are no {what} just now")


END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1"
END_LEAD = """
select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'samband ledger relay'
  and pid in (select pid from pg_locks where locktype = 'advisory' and granted)"""
EXPIRE = """
update notifications.mails set expires_at = now() + interval '100 milliseconds'
where id in (
    select id from notifications.mails where settled_at is null and expires_at > now() + interval '1 minute'
    order by random() limit 3) returning id"""

INJURIES: Mapping[str, Injury] = {
    **{f"die: {kind}": dying(kind) for kind in PLACES},
    "kill anything": kill_anything,
    "cut connections": cut_connections,
    "restart postgres": restart_postgres,
    "pause kafka": pause_kafka,
    "crash kafka": crash_kafka,
    "cut relay": cut_relay,
    "freeze relay": freeze_relay,
    "wake relay": wake_relay,
    "freeze consumer": freeze_consumer,
    "terminate": terminate,
    "rewind": rewind,
    "replay": replay,
    "commit in reverse": commit_in_reverse,
    "hold lock": hold_lock,
    "expire soon": expire_soon,
    "wire: slow": slow_wire,
    "wire: one way": one_way_wire,
    "wire: trickle": trickling_wire,
    "wire: reset": reset_wire,
}


async def relay_leader(stage: Stage) -> Keeper:
    """Find the ledger's worker that leads; raises `LookupError` while there is none."""
    for keeper in await relay_leaders(stage):
        return keeper
    raise LookupError("no relay leads just now")


async def relay_leaders(stage: Stage) -> list[Keeper]:
    """Find the ledger's workers that say that they lead: one, but while a relay has not noticed yet that it no longer does."""
    found = []
    async with httpx2.AsyncClient(timeout=5) as client:
        for keeper in stage.of("ledger", "worker"):
            try:
                metrics = (await client.get(f"{keeper.url}/metrics")).text
            except httpx2.TransportError:
                continue
            if 'samband_relay_leads{service="ledger"} 1.0' in metrics:
                found.append(keeper)
    return found
