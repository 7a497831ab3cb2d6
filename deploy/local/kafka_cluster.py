"""Three brokers on one machine: one of them may be away, and what was acknowledged is neither lost nor out of reach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.errors import SetupError
from deploy.local.kafka import Node, Quorum

SIZE = 3


class Cluster:
    """Nodes that hold copies of each other's records; each can be stopped, killed and started again on its data."""

    def __init__(self, folder: Path, *, java: Path, jars: Path, size: int = SIZE) -> None:
        self._folder = folder
        quorum = Quorum.of(size)
        self.nodes = [
            Node(folder / f"node-{seat.number}", java=java, jars=jars, quorum=quorum, seat=seat)
            for seat in quorum.seats
        ]

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def start(self) -> None:
        """Start all at once, for none answers before most of them are there; raises `SetupError`."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            async with asyncio.TaskGroup() as starting:
                for node in self.nodes:
                    starting.create_task(node.start())
        except ExceptionGroup as failed:
            await self.end()
            raise SetupError("\n".join(str(error) for error in failed.exceptions)) from None

    async def end(self) -> None:
        """Kill all: the last ones could not hand over to anybody, and would try for minutes."""
        await asyncio.gather(*(node.kill() for node in self.nodes))

    async def in_sync(self, *, within: float = 60) -> None:
        """Wait until every node holds every record that it should; raises `TimeoutError`."""
        async with asyncio.timeout(within):
            while not await self._is_in_sync():  # noqa: ASYNC110 - Kafka does not say when
                await asyncio.sleep(0.2)

    async def partition_leader(self, topic: str, partition: int) -> Node:
        """Give the node that takes a partition's records; raises `LookupError` while there is none."""
        async with self._admin() as admin:
            described = await admin.describe_topics([topic])
        leaders = {each["partition"]: each["leader"] for each in described[0]["partitions"]}
        return self._node(leaders.get(partition, -1))

    def controller(self) -> Node:
        """Give the node that leads the quorum, by the newest election that any node has noted; raises `LookupError`."""
        noted = [
            json.loads(path.read_text(encoding="utf-8")) for path in map(_quorum_state, self.nodes) if path.exists()
        ]
        newest = max(noted, key=lambda state: (state["leaderEpoch"], state["leaderId"]), default={"leaderId": -1})
        return self._node(newest["leaderId"])

    def _node(self, number: int) -> Node:
        for node in self.nodes:
            if node.seat.number == number:
                return node
        raise LookupError("nobody leads just now")

    async def _is_in_sync(self) -> bool:
        try:
            async with self._admin() as admin:
                topics = await admin.describe_topics()
        except (KafkaError, OSError, ValueError):
            return False
        wanted = {node.seat.number for node in self.nodes}
        return all(
            wanted.issuperset(partition["replicas"]) and set(partition["isr"]) == set(partition["replicas"])
            for topic in topics
            for partition in topic["partitions"]
        )

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


def _quorum_state(node: Node) -> Path:
    return node.data / "__cluster_metadata-0" / "quorum-state"
