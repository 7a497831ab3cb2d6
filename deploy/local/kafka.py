"""Apache Kafka: the cluster that the environment names, else one node: in a container, or on the machine's Java."""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local import containers, kafka_jars, processes
from deploy.local.errors import SetupError
from deploy.local.kafka_jars import ADDRESS, NODE_FILES, VERSION
from deploy.local.ports import LOOPBACK, free_port, listens
from deploy.local.topics import Topic, create_topics

__all__ = ["ADDRESS", "ROOMY", "SMALL", "Node", "Quorum", "Seat", "Topic", "create_topics", "provide"]

IMAGE, OFFICIAL_IMAGE = "SAMBAND_LOCAL_KAFKA_IMAGE", f"apache/kafka:{VERSION}"

SMALL = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Soon up and content with little memory; slower than Kafka can be."""
ROOMY = ("-Xmx1g",)
"""As a server's Java runs: for measuring."""

_PORT = 9092


@asynccontextmanager
async def provide(folder: Path, *, progress: Callable[[str], None] = lambda _: None) -> AsyncIterator[str]:
    """The bootstrap address of a cluster that answers, as long as the block lasts."""
    given = os.environ.get(ADDRESS)
    if given:
        await _check(given)
        yield given
        return
    image = await containers.image(IMAGE, OFFICIAL_IMAGE, progress)
    if image is not None:
        async with _contained(image, folder / "kafka.log") as bootstrap:
            yield bootstrap
        return
    java = await kafka_jars.java()
    jars = await kafka_jars.jars(progress)
    async with Node(folder / "kafka", java=java, jars=jars) as node:
        yield node.bootstrap


@dataclass(frozen=True, slots=True)
class Seat:
    """A node's place in its cluster: its number, from 1 on, and its ports."""

    number: int
    port: int
    controller_port: int
    advertised_port: int | None = None
    """Where clients are to find it, when that is not its own port."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """The nodes of a cluster, each broker and controller at once; one alone is the smallest."""

    cluster_id: str
    seats: tuple[Seat, ...]

    @classmethod
    def of(cls, size: int) -> Self:
        """Draw an id and free ports for so many nodes."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        ports: set[int] = set()
        while len(ports) < 2 * size:
            ports.add(free_port())
        return cls(cluster_id, tuple(Seat(number, ports.pop(), ports.pop()) for number in range(1, size + 1)))

    def settings(self, seat: Seat) -> dict[str, str]:
        """Give what one node must know: of three, two have to hold a record before it is acknowledged."""
        replicas = min(3, len(self.seats))
        of_each_kind = {
            "default.replication.factor": replicas,
            "min.insync.replicas": replicas // 2 + 1,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": replicas // 2 + 1,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": replicas // 2 + 1,
        }
        return {
            "node.id": str(seat.number),
            "listeners": f"PLAINTEXT://{LOOPBACK}:{seat.port},CONTROLLER://{LOOPBACK}:{seat.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{seat.advertised_port or seat.port}",
            "controller.quorum.voters": ",".join(
                f"{other.number}@{LOOPBACK}:{other.controller_port}" for other in self.seats
            ),
            **{name: str(count) for name, count in of_each_kind.items()},
        }


class Node:
    """A broker with a folder and ports of its own; it can be stopped, killed and started again on the same data.

    It is a cluster by itself, unless it is given a seat in a larger one.
    """

    def __init__(  # noqa: PLR0913 - what a node may differ in; all but three have a default
        self,
        folder: Path,
        *,
        java: Path,
        jars: Path,
        quorum: Quorum | None = None,
        seat: Seat | None = None,
        options: Sequence[str] = SMALL,
    ) -> None:
        self._folder = folder
        self._options = options
        self._java = java
        self._jars = jars
        self._quorum = quorum or Quorum.of(1)
        self.seat = seat or self._quorum.seats[0]
        self._process: processes.Process | None = None

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.seat.port}"

    @property
    def data(self) -> Path:
        return self._folder / "data"

    @property
    def process(self) -> processes.Process:
        if self._process is None:
            raise RuntimeError("the node was not started")
        return self._process

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start and wait until an admin client gets an answer; format the data folder first if there is none."""
        if not self._settings.exists():
            await self._format()
        self._process = await self._launch("Kafka", "kafka.Kafka", self._settings)
        try:
            await processes.ready(self._process, self._answers, within=60)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    @property
    def _settings(self) -> Path:
        return self._folder / "server.properties"

    async def _format(self) -> None:
        self._folder.mkdir(mode=0o700)
        settings = {**self._quorum.settings(self.seat), "log.dirs": str(self.data)}
        own = [f"{name}={value}" for name, value in settings.items()]
        draft = self._folder / "draft.properties"
        draft.write_text((NODE_FILES / "server.properties").read_text() + "\n".join(["", *own, ""]))
        cluster_id = f"--cluster-id={self._quorum.cluster_id}"
        tool = await self._launch("Kafka's format tool", "kafka.tools.StorageTool", "format", cluster_id, "-c", draft)
        await processes.finish(tool, within=60)
        draft.rename(self._settings)

    async def _launch(self, name: str, main_class: str, *arguments: str | Path) -> processes.Process:
        options = [*self._options, f"-Dlog4j2.configurationFile={NODE_FILES / 'log4j2.properties'}"]
        options += ["-cp", f"{self._jars}/*"]
        command = [self._java, *options, main_class, *arguments]
        return await processes.start(name, command, log=self._folder / "log", folder=self._folder)

    async def _answers(self) -> bool:
        # The client logs an error for every refused connection, so the port is tried without it first.
        return await listens(self.seat.port) and await _answers(self.bootstrap) is None


@asynccontextmanager
async def _contained(image: str, log: Path) -> AsyncIterator[str]:
    """A node from an image that is used as Apache's own is: `KAFKA_SOME_SETTING` is the broker's `some.setting`."""
    quorum = Quorum.of(1)
    (seat,) = quorum.seats
    bootstrap = f"{LOOPBACK}:{seat.port}"
    common = (NODE_FILES / "server.properties").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in common if line and not line.startswith("#"))
    settings |= quorum.settings(seat)
    settings["listeners"] = f"PLAINTEXT://:{_PORT},CONTROLLER://{LOOPBACK}:{seat.controller_port}"
    environment = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
    environment |= {"CLUSTER_ID": quorum.cluster_id, "KAFKA_HEAP_OPTS": SMALL[0]}
    server = containers.Contained("Kafka", image, seat.port, _PORT, environment)

    async def answers() -> bool:
        return await listens(seat.port) and await _answers(bootstrap) is None

    async with containers.running(server, log, answers):
        yield bootstrap


async def _check(bootstrap: str) -> None:
    problem = await _answers(bootstrap)
    if problem is not None:
        raise SetupError(f"{ADDRESS}={bootstrap} does not answer: {problem}") from problem


async def _answers(bootstrap: str) -> Exception | None:
    """What went wrong when an admin client asked for the list of topics, or None."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        await admin.list_topics()
    except (KafkaError, OSError, ValueError) as error:
        return error
    finally:
        await admin.close()
    return None
