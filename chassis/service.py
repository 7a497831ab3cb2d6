"""Service: the roles of one image, started in order and stopped in the opposite one.

`api` serves HTTP and needs Postgres alone; `worker` runs relay, consumers and loops; `all` is both in one process.
Health is answered from the first moment, also while Postgres is away. Stopping: no new requests, then the batches in
hand, then the loops, then the relay sends what these wrote, then the pool.
"""

import asyncio
import platform
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from fastapi import APIRouter, FastAPI

from chassis import access, dead_letters, health, http, inbound, janitor, jwks, migrate, telemetry, tracing, voids
from chassis.access import Authenticator
from chassis.consume import Consumer
from chassis.errors import Misconfigured
from chassis.handlers import Handlers, Lane
from chassis.kafka import Sender
from chassis.lag import Lag
from chassis.loop import Loop, backoff, pulse
from chassis.outbox import BELL as OUTBOX_BELL
from chassis.parts import NotReady, Part, Parts
from chassis.postgres import Database, Identity, is_outage, open_database
from chassis.relay import Relay
from chassis.sealing import Keyring
from chassis.server import Server, listen, not_yet
from chassis.settings import ServiceSettings
from chassis.systems import Systems
from chassis.texts import Texts
from chassis.upkeep import Upkeep
from chassis.voids import Voids
from chassis.watchdog import Watchdog
from contracts import catalogue, topics
from contracts.topics import Topic

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

LOOK_BACK_SECONDS = 5.0
"""Between two looks at whether the database is behind what was read."""


@dataclass(frozen=True, slots=True)
class Runtime(Generic[S]):
    """What a service's parts are built from."""

    settings: S
    database: Database
    voids: Voids = field(default_factory=Voids)
    """Which access tokens are void, in the api role."""


@dataclass(frozen=True, slots=True)
class Service(Generic[S]):
    """A service as its composition root declares it."""

    name: str
    settings: type[S]
    folder: Path
    routers: Callable[[Runtime[S]], Sequence[APIRouter]] = lambda _: ()
    handlers: Handlers = field(default_factory=Handlers)
    loops: Callable[[Runtime[S]], Sequence[Loop]] = lambda _: ()
    upkeep: Upkeep = field(default_factory=Upkeep)
    authenticator: Callable[[Runtime[S]], Authenticator] | None = None
    """Makes what finds out who calls; by default callers bring an access token."""
    forms: Collection[str] = ()
    """Paths to which forms are written, as OAuth 2.0 wants it."""
    version: str = "0.1.0"

    @property
    def sealed_to(self) -> list[str]:
        """Name the readers to whom this service's messages are sealed."""
        own = [message for message in catalogue.messages() if message.topic.owner == self.name]
        return sorted({reader for message in own for reader in message.readers.values()})

    @property
    def topics(self) -> list[Topic]:
        """Give the topics that this service writes or reads."""
        read = {name for lane in self.handlers.lanes() for name in self.handlers.topics(Lane(lane))}
        return [topic for topic in topics.ALL if topic.owner == self.name or topic.name in read]

    @property
    def migrations(self) -> list[migrate.Migration]:
        return migrate.of_service(self.name, self.folder / "migrations")


async def serve(service: Service[S], settings: S, *, api: bool, worker: bool, leaving: bool = False) -> int:
    """Run the roles until SIGTERM or SIGINT, or until a part fails; `leaving` as `Parts` has it.

    Gives the exit code: 0, 1 after a failure, or `EX_SOFTWARE` after it was stuck. Raises `Misconfigured` for a schema
    that lacks a migration, a key set that cannot be read, a port that is taken, an endpoint for spans that is none, or a
    worker without Kafka's address.
    """
    if worker and not settings.kafka:
        raise Misconfigured(f"{service.name} worker cannot start: SAMBAND_KAFKA is missing")
    keyring = Keyring.load(service.name, settings.public_keys, settings.private_keys)
    systems = Systems.load(settings.systems)
    identity = Identity(service.name, keyring, settings.largest_message, systems, settings.clock_skew_seconds)
    role = "all" if api and worker else "api" if api else "worker"
    with _observed(service, settings):
        listening = listen(settings.http_host, settings.http_port)
        async with Parts(leaving=leaving) as parts:
            router = partial(health.router, alive=parts.why_not_alive, shows_metrics=settings.metrics_port is None)
            app = app_of(service, settings, [router({"postgres": _not_open}), not_yet()])
            server = Server(listening, app, drain_seconds=settings.drain_seconds if api else 0)
            beat = pulse()
            parts.start([Part("http", "http", server.run, server.stop), Part("loops", "pulse", beat.run, beat.stop)])
            database = await parts.unless_stopping(_open(parts.resources, service, settings, identity, role))
            if database is not None:
                runtime = Runtime(settings, database)
                parts.start(list(worker_parts(service, runtime)) if worker else [])
                checks = {"postgres": database.ping, "parts": parts.require_ready}
                served = (*service.routers(runtime), jwks.router(keyring)) if api else ()
                authenticator = authenticator_of(service, runtime, served) if api else None
                parts.start([_mirror_part(runtime)] if authenticator else [])
                server.app = app_of(service, settings, [*served, router(checks)], authenticator)
                log.info("service_started", port=listening.getsockname()[1])
                await parts.stopping.wait()
    return parts.exit_code


@contextmanager
def _observed(service: Service[S], settings: S) -> Iterator[None]:
    """Show what this process measures, and send its spans where the environment names an endpoint, for the block."""
    telemetry.BUILD.labels(service.name, service.version, platform.python_version()).set(1)
    with ExitStack() as stack:
        if settings.metrics_port is not None:
            stack.enter_context(health.showing_metrics(settings.http_host, settings.metrics_port))
        stack.enter_context(tracing.sending(service.name, service.version))
        yield


async def _not_open() -> None:
    raise NotReady("postgres has not answered yet")


def authenticator_of(service: Service[S], runtime: Runtime[S], routers: Sequence[APIRouter]) -> Authenticator | None:
    """Make what finds out who calls, None where nobody needs to know; raises `Misconfigured` where it cannot be made."""
    if service.authenticator is not None:
        return service.authenticator(runtime)
    if not access.declare(routers):
        return None
    if not voids.are_heard(service.handlers):
        raise Misconfigured(
            f"{service.name} cannot start: its consumers.py must call voids.hear, for its routes need a caller"
        )
    return access.bearer(runtime.settings, service.name, runtime.voids)


def _mirror_part(runtime: Runtime[S]) -> Part:
    """Build what tells an api whose routes need callers which tokens are void."""
    loop = voids.mirror(runtime.database, runtime.voids)
    return Part("loops", loop.name, loop.run, loop.stop, lambda: runtime.voids.loaded)


def app_of(
    service: Service[S], settings: S, routers: Sequence[APIRouter], authenticator: Authenticator | None = None
) -> FastAPI:
    """Make the app that serves these routes of a service."""
    return http.create_app(
        title=service.name,
        version=service.version,
        routers=routers,
        authenticator=authenticator,
        texts=[Texts(locales)] if (locales := service.folder / "locales").is_dir() else [],
        origins=settings.origins,
        streamed={inbound.STREAMED: inbound.LARGEST},
        forms=service.forms,
        trust_traceparent=settings.trust_traceparent,
    )


async def _open(stack: AsyncExitStack, service: Service[S], settings: S, identity: Identity, role: str) -> Database:
    """Open the database, however long it is away, until the stack ends; raises `MigrationRefused` for a schema behind."""
    opening = open_database(settings.database_url, identity, size=settings.pool_size, role=role)
    database = await stack.enter_async_context(opening)
    failures = 0
    while True:
        try:
            await migrate.require_current(settings.database_url, service.name, service.migrations)
        except Exception as error:
            if not is_outage(error):
                raise
            failures += 1
            await asyncio.sleep(backoff(failures))
        else:
            return database


def worker_parts(service: Service[S], runtime: Runtime[S]) -> Iterator[Part]:
    """Build consumers, their watchdog, loops and relay; each group stops in its turn."""
    settings, database = runtime.settings, runtime.database
    kafka = str(settings.kafka)
    consumers = [
        Consumer(
            database,
            service.handlers,
            Lane(lane),
            bootstrap=kafka,
            topic_prefix=settings.topic_prefix,
            session_seconds=settings.session_seconds,
        )
        for lane in service.handlers.lanes()
    ]
    for each in consumers:
        yield Part("consumers", each.consumer_group, each.run, each.stop, each.assigned.is_set)
    looks = [Loop(f"look_back_{each.lane}", each.look_back, every=LOOK_BACK_SECONDS) for each in consumers]
    lags = [Lag(each, topic_prefix=settings.topic_prefix).loop() for each in consumers]
    watchdog = Watchdog(consumers, database.ping, bootstrap=kafka, seconds=settings.stuck_seconds)
    yield Part("watchdog", "watchdog", watchdog.run, watchdog.stop)
    retries = dead_letters.Retries(database, service.handlers)
    for loop in (
        *looks,
        *lags,
        *service.loops(runtime),
        *retries.loops(pool_size=settings.pool_size),
        janitor.loop(database),
    ):
        yield Part("loops", loop.name, loop.run, loop.stop)
    sender = Sender(kafka, f"samband-{service.name}-relay", settings.topic_prefix)
    relay = Relay(settings.database_url, service.name, sender, archive_days=settings.archive_days)
    database.bell.hear(OUTBOX_BELL, relay.wake)
    yield Part("relay", "relay", relay.run, relay.stop)
