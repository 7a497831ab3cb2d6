"""Trio: three brokers, of which one at a time is hurt; the work goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from deploy.local import kafka_jars
from deploy.local.kafka import Node
from deploy.local.kafka_cluster import Cluster
from tests.faults.wire import Wire

IN_SYNC_SECONDS = 90.0
"""A broker that was killed may register again only when its old session is over, and then has to catch up."""


class NotInSync(Exception):
    """The brokers did not come together again."""


@dataclass(slots=True)
class Trio:
    """Three nodes; whatever is done to one ends when all three hold every record again."""

    cluster: Cluster
    turns: Iterator[Node] = field(init=False)

    def __post_init__(self) -> None:
        self.turns = cycle(self.cluster.nodes)

    @property
    def bootstrap(self) -> str:
        return self.cluster.bootstrap

    @property
    def wires(self) -> Sequence[Wire]:
        return ()

    async def pause(self, seconds: float) -> None:
        await self.freeze(next(self.turns), seconds)

    async def crash(self) -> None:
        await self.kill(next(self.turns))

    async def freeze(self, node: Node, seconds: float) -> None:
        """Stop a node in mid-step; it wakes without knowing what the others did meanwhile."""
        async with node.process.frozen():
            await asyncio.sleep(seconds)
        await self._in_sync()

    async def kill(self, node: Node) -> None:
        await node.kill()
        await node.start()
        await self._in_sync()

    async def restart_in_turn(self) -> None:
        """Stop each in order and start it again, as an upgrade of the brokers does."""
        for node in self.cluster.nodes:
            await node.stop()
            await node.start()
            await self._in_sync()

    async def _in_sync(self) -> None:
        try:
            await self.cluster.in_sync(within=IN_SYNC_SECONDS)
        except TimeoutError:
            raise NotInSync(f"the brokers were not in sync again after {IN_SYNC_SECONDS:g} s") from None


@asynccontextmanager
async def three_brokers(folder: Path) -> AsyncIterator[Trio]:
    """Start three nodes on the machine's Java."""
    java, jars = await kafka_jars.java(), await kafka_jars.jars(lambda _: None)
    async with Cluster(folder / "kafka", java=java, jars=jars) as cluster:
        yield Trio(cluster)
