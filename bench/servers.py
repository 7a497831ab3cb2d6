"""Servers: PostgreSQL and Kafka of the run's own, as a server would run them, with their process ids."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deploy.local import kafka, kafka_jars, postgres
from deploy.local.folders import own_folder
from deploy.local.stack import Running


@dataclass(frozen=True, slots=True)
class Servers:
    running: Running
    postgres_pid: int
    kafka_pid: int


@asynccontextmanager
async def servers(*, fsync: bool, progress: Callable[[str], None]) -> AsyncIterator[Servers]:
    """Start both for the block. Never those of the environment: their load and their processes are not ours to see."""
    with own_folder("bench") as folder:
        began = time.monotonic()
        java, jars = await kafka_jars.java(), await kafka_jars.jars(progress)
        async with (
            postgres.Server(folder / "postgres", fsync=fsync) as database,
            kafka.Node(folder / "kafka", java=java, jars=jars, options=kafka.ROOMY) as node,
        ):
            progress(f"PostgreSQL 18 and Apache Kafka {kafka_jars.VERSION} answer ({time.monotonic() - began:.1f} s)")
            running = Running(folder, database.url, node.bootstrap)
            yield Servers(running, database.process.pid, node.process.pid)
