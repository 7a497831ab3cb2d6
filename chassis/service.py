"""Service: the roles of one image, started in order and stopped in the opposite one.

`api` serves HTTP and needs Postgres alone; `worker` runs relay, consumers and loops; `all` is both in one process.
Stopping: no new requests, then the batches in hand, then the loops, then the relay sends what these wrote, then the pool.
"""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import structlog
import uvicorn
from fastapi import APIRouter

from chassis import dead_letters, health, http, janitor, migrate
from chassis.consume import Consumer
from chassis.errors import Misconfigured
from chassis.handlers import Handlers, Lane
from chassis.kafka import Sender
from chassis.loop import Loop
from chassis.outbox import BELL as OUTBOX_BELL
from chassis.postgres import Database, Identity, open_database
from chassis.relay import Relay
from chassis.sealing import Keyring
from chassis.settings import ServiceSettings
from chassis.texts import Texts

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)
STOP_SECONDS = {"http": 12.0, "consumers": 17.0, "loops": 10.0, "relay": 5.0}
"""The most each may take; together they fit in a pod's grace period of 60 s, and normally end at once."""


@dataclass(frozen=True, slots=True)
class Runtime(Generic[S]):
    """What a service's parts are built from."""

    settings: S
    database: Database


@dataclass(frozen=True, slots=True)
class Service(Generic[S]):
    """A service as its composition root declares it."""

    name: str
    settings: type[S]
    folder: Path
    routers: Callable[[Runtime[S]], Sequence[APIRouter]] = lambda _: ()
    handlers: Handlers = field(default_factory=Handlers)
    loops: Callable[[Runtime[S]], Sequence[Loop]] = lambda _: ()
    version: str = "0.1.0"

    @property
    def migrations(self) -> list[migrate.Migration]:
        return migrate.of_service(self.name, self.folder / "migrations")


@dataclass(slots=True)
class Part:
    """Something that runs until it is asked to stop."""

    group: str
    name: str
    run: Callable[[], Awaitable[None]]
    stop: Callable[[], None]
    ready: Callable[[], bool] = lambda: True
    task: "asyncio.Task[None] | None" = None


async def serve(service: Service[S], settings: S, *, api: bool, worker: bool) -> int:
    """Run the roles until SIGTERM or SIGINT, or until a part fails; gives the exit code (0, or 1 after a failure).

    Raises `Misconfigured` for a schema that lacks a migration, a key set that cannot be read, a port that is taken, or a
    worker without Kafka's address.
    """
    if worker and not settings.kafka:
        raise Misconfigured(f"{service.name} worker cannot start: SAMBAND_KAFKA is missing")
    keyring = Keyring.load(service.name, settings.public_keys, settings.private_keys)
    identity = Identity(service.name, keyring, settings.largest_message)
    role = "all" if api and worker else "api" if api else "worker"
    listening = listen(settings.http_host, settings.http_port)
    async with open_database(settings.database_url, identity, size=settings.pool_size, role=role) as database:
        await migrate.require_current(settings.database_url, service.name, service.migrations)
        runtime = Runtime(settings, database)
        parts = list(worker_parts(service, runtime)) if worker else []
        parts.insert(0, _http(service, runtime, listening, api=api, others=tuple(parts)))
        log.info("service_started", port=listening.getsockname()[1])
        return await _run(parts)


def worker_parts(service: Service[S], runtime: Runtime[S]) -> Iterator[Part]:
    """Build relay, consumers and loops, in the order in which they stop."""
    settings, database = runtime.settings, runtime.database
    kafka = str(settings.kafka)
    for lane in service.handlers.lanes():
        yield _consumer(
            Consumer(
                database,
                service.handlers,
                Lane(lane),
                bootstrap=kafka,
                topic_prefix=settings.topic_prefix,
                session_seconds=settings.session_seconds,
            )
        )
    retries = Loop("dead_letters", dead_letters.Retries(database, service.handlers).tick, every=1.0)
    database.bell.hear(dead_letters.BELL, retries.wake)
    for loop in (*service.loops(runtime), retries, janitor.loop(database)):
        yield Part("loops", loop.name, loop.run, loop.stop)
    sender = Sender(kafka, f"samband-{service.name}-relay", settings.topic_prefix)
    relay = Relay(settings.database_url, service.name, sender, archive_days=settings.archive_days)
    database.bell.hear(OUTBOX_BELL, relay.wake)
    yield Part("relay", "relay", relay.run, relay.stop)


def _consumer(consumer: Consumer) -> Part:
    return Part("consumers", consumer.consumer_group, consumer.run, consumer.stop, consumer.assigned.is_set)


async def _run(parts: Sequence[Part]) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    for part in reversed(parts):
        part.task = asyncio.ensure_future(part.run())
        part.task.add_done_callback(lambda _: stopping.set())
    await stopping.wait()
    failed = [part for part in parts if part.task is not None and part.task.done()]
    for part in failed:
        error = part.task.exception() if part.task and not part.task.cancelled() else None
        log.critical("part_ended", part=part.name, exc_info=error)
    log.info("service_stops")
    for group, seconds in STOP_SECONDS.items():
        await _stop([part for part in parts if part.group == group], seconds)
    log.info("service_stopped")
    return 1 if failed else 0


async def _stop(parts: Sequence[Part], seconds: float) -> None:
    tasks = [part.task for part in parts if part.task is not None]
    for part in parts:
        part.stop()
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        log.error("part_stopped_late", parts=[part.name for part in parts if part.task is task])
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts; raises `Misconfigured` when somebody has it."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}") from None


class NotReady(Exception):
    """Some parts have not started, such as a consumer that has no partitions yet."""


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: the order of stopping is decided in one place."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _http(
    service: Service[S], runtime: Runtime[S], listening: socket.socket, *, api: bool, others: Sequence[Part]
) -> Part:
    async def parts_are_ready() -> None:
        if waiting := [part.name for part in others if not part.ready()]:
            raise NotReady(waiting)

    app = http.create_app(
        title=service.name,
        version=service.version,
        routers=[
            *(service.routers(runtime) if api else ()),
            health.router({"postgres": runtime.database.ping, "parts": parts_are_ready}),
        ],
        texts=[Texts(locales)] if (locales := service.folder / "locales").is_dir() else [],
        origins=runtime.settings.origins,
    )
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=65_536,
            timeout_graceful_shutdown=10,
        )
    )

    def stop() -> None:
        server.should_exit = True

    return Part("http", "http", lambda: server.serve(sockets=[listening]), stop)
