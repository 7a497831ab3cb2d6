"""Stage: the whole platform on servers of its own, that can be hurt while it runs."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from chassis.postgres import Database, Identity, open_database
from chassis.sealing import Keyring
from contracts.topics import ALL
from deploy.local import kafka_jars, postgres
from deploy.local.kafka import Node, Quorum
from deploy.local.platform import Platform, platform
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.stack import Running
from tests.faults.keeper import Death, Keeper, Unit
from tests.faults.ledger.messages import ENTRIES
from tests.faults.post import Post
from tests.faults.rotation import Rotation
from tests.faults.wire import Wire

OTHERS = {"ledger": "tests.faults.ledger", "mirror": "tests.faults.mirror"}


def units(*names: str) -> tuple[Unit, ...]:
    """Read units from names such as `ledger worker-2`."""
    return tuple(Unit(*name.split()) for name in names)


PAIR = units("ledger api", "ledger api-2", "ledger worker", "ledger worker-2", "mirror worker", "mirror worker-2")
"""Enough for rounds without codes and mails."""
UNITS = (*units("auth api", "auth worker", "notifications worker", "notifications worker-2"), *PAIR)
SETTINGS = {
    "SAMBAND_CODES_PER_QUARTER": "100000",
    "SAMBAND_TRIES_PER_QUARTER": "10",
    "SAMBAND_SOURCE_LIMIT": "1000000",
    "SAMBAND_POOL_SIZE": "6",
    "SAMBAND_STUCK_SECONDS": "20",
}
TOPICS = (*ALL, ENTRIES)
START_SECONDS = 180.0
"""What ten processes may take to start at once, on two cores that others use too."""


class Broker(Protocol):
    """A Kafka that can be hurt: one node, or several."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def wires(self) -> Sequence[Wire]:
        """Give the wires that lead to it, where there are any."""

    async def pause(self, seconds: float) -> None: ...
    async def crash(self) -> None:
        """Kill a node and start it again."""


@dataclass(slots=True)
class Single:
    """One node at the end of a wire; while it is away, Kafka is away."""

    node: Node
    wire: Wire

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.wire.port}"

    @property
    def wires(self) -> Sequence[Wire]:
        return [self.wire]

    async def pause(self, seconds: float) -> None:
        async with self.node.process.frozen():
            await asyncio.sleep(seconds)

    async def crash(self) -> None:
        self.node.process.kill()
        await self.node.process.wait()
        await self.node.start()


@dataclass(frozen=True, slots=True)
class House:
    """An organisation and the address of its superuser, made by an operator's commands once a stage."""

    organisation_id: UUID
    superuser: str


@dataclass(slots=True)
class Stage:
    """What the suite plays on."""

    platform: Platform
    post: Post
    server: postgres.Server
    broker: Broker
    wires: Sequence[Wire]
    """The network between the services and their servers."""
    ledger: Database
    keepers: dict[Unit, Keeper] = field(default_factory=dict)
    servers: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a server is hurt: what is down cannot be hurt again."""
    tasks: dict[Unit, "asyncio.Task[None]"] = field(default_factory=dict)
    rotation: Rotation = field(init=False)
    gone: list[Death] = field(default_factory=list)
    """Ends of processes whose keepers were dismissed."""
    house: House | None = None

    def __post_init__(self) -> None:
        self.rotation = Rotation(lambda: self.of("ledger", "api"))

    async def restart_postgres(self) -> None:
        """Stop Postgres at once, as if its process had crashed, and start it again."""
        async with self.servers:
            self.server.process.signal(signal.SIGQUIT)
            await self.server.process.wait()
            await self.server.start()

    async def pause_kafka(self, seconds: float) -> None:
        async with self.servers:
            await self.broker.pause(seconds)

    async def crash_kafka(self) -> None:
        async with self.servers:
            await self.broker.crash()

    def keep(self, unit: Unit) -> Keeper:
        """Keep one more unit running, from now on."""
        keeper = self.keepers[unit] = Keeper(self.platform, unit)
        self.tasks[unit] = asyncio.create_task(keeper.run(), name=str(unit))
        return keeper

    async def dismiss(self, unit: Unit, *, within: float) -> None:
        """End a unit in order and start it no more; raises `StoppedLate` when it had to be killed."""
        keeper = self.keepers.pop(unit)
        keeper.stop()
        await keeper.terminate(within=within)
        await self.tasks.pop(unit)
        self.gone += keeper.deaths

    async def end(self) -> None:
        """Start nothing again, and stop all at once: nothing is asked for any more."""
        for keeper in self.keepers.values():
            keeper.stop()
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        running = [process for process in self.platform.processes.values() if process.returncode is None]
        await asyncio.gather(*(process.stop(within=40) for process in running))

    def keeper(self, service: str, role: str) -> Keeper:
        return self.keepers[Unit(service, role)]

    def of(self, service: str, role: str | None = None) -> list[Keeper]:
        """Give the keepers of a service, or of one role of it."""
        return [
            keeper
            for unit, keeper in self.keepers.items()
            if unit.service == service and (role is None or unit.role.partition("-")[0] == role)
        ]

    def deaths(self) -> list[Death]:
        """List how processes ended, in the order of time."""
        deaths = [*self.gone, *(death for keeper in self.keepers.values() for death in keeper.deaths)]
        return sorted(deaths, key=lambda death: death.at)

    async def all_ready(self, *, within: float = 60) -> None:
        await asyncio.gather(*(keeper.ready(within=within) for keeper in self.keepers.values()))

    @asynccontextmanager
    async def admin(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Open a superuser's connection to the run's database."""
        conn = await asyncpg.connect(self.platform.admin, timeout=20)
        try:
            yield conn
        finally:
            await conn.close()


@asynccontextmanager
async def stage(
    folder: Path,
    broker: Broker,
    *,
    units: Iterable[Unit] = UNITS,
    settings: Mapping[str, str] = MappingProxyType({}),
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Stage]:
    """Start the units on servers of their own and wait until all are ready; stop them in order at the end."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(postgres.Server(folder / "postgres"))
        wire = await stack.enter_async_context(Wire(free_port(), _port(server.url)).laid())
        post = await stack.enter_async_context(Post())
        running = Running(folder, server.url, broker.bootstrap)
        tell("servers are up")
        made = await stack.enter_async_context(
            platform(running, smtp_port=post.smtp_port, settings={**SETTINGS, **settings}, others=OTHERS, topics=TOPICS)
        )
        _connect_over(wire, made)
        ledger = await stack.enter_async_context(opened(made, "ledger", size=10))
        found = Stage(made, post, server, broker, [wire, *broker.wires], ledger)
        stack.push_async_callback(found.end)
        for unit in units:
            found.keep(unit)
        await found.all_ready(within=START_SECONDS)
        tell(f"{len(found.keepers)} processes are ready")
        yield found


def opened(made: Platform, service: str, *, size: int) -> AbstractAsyncContextManager[Database]:
    """Open a service's database as its own processes do, for what the suite itself does in its place."""
    environment = made.environments[service]
    keyring = Keyring.load(service, Path(environment["SAMBAND_PUBLIC_KEYS"]), Path(environment["SAMBAND_PRIVATE_KEYS"]))
    return open_database(environment["SAMBAND_DATABASE_URL"], Identity(service, keyring), size=size, role="suite")


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _connect_over(wire: Wire, made: Platform) -> None:
    """Have the services reach their database over the wire."""
    name = "SAMBAND_DATABASE_URL"
    made.environments = {
        service: {**found, name: _over(wire, found[name])} for service, found in made.environments.items()
    }


def _over(wire: Wire, url: str) -> str:
    """Give the same address at the wire's end."""
    parts = urlsplit(url)
    user, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}@{LOOPBACK}:{wire.port}"))


@asynccontextmanager
async def single_broker(folder: Path) -> AsyncIterator[Single]:
    """Start one node on the machine's Java, which says that it is found at the wire's end."""
    java, jars = await kafka_jars.java(), await kafka_jars.jars(lambda _: None)
    quorum = Quorum.of(1)
    wire = Wire(free_port(), quorum.seats[0].port)
    seat = replace(quorum.seats[0], advertised_port=wire.port)
    async with (
        wire.laid(),
        Node(folder / "kafka", java=java, jars=jars, quorum=quorum, seat=seat) as node,
    ):
        yield Single(node, wire)
