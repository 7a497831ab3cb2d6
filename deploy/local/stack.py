"""The stack: PostgreSQL and Kafka side by side, up together, stopped in order, and nothing left behind."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from deploy.local import kafka, kafka_jars, postgres, processes, program
from deploy.local.errors import SetupError
from deploy.local.folders import Kind, own_folder


@dataclass(frozen=True, slots=True)
class Running:
    """Where the servers answer, and the run's own folder: logs and data, gone at the end."""

    folder: Path
    postgres: str
    kafka: str


@asynccontextmanager
async def stack(kind: Kind, *, progress: Callable[[str], None] = program.tell) -> AsyncIterator[Running]:
    """Start both servers, or use those that the environment names; they run as long as the block.

    Raises `SetupError` when one cannot run; the other is stopped then. Only tests run without fsync.
    """
    with own_folder(kind) as folder:
        async with AsyncExitStack() as servers:

            async def enter(name: str, server: AbstractAsyncContextManager[str]) -> str:
                began = time.monotonic()
                address = await servers.enter_async_context(server)
                progress(f"starting {name} … {time.monotonic() - began:.1f} s")
                return address

            try:
                async with asyncio.TaskGroup() as starting:
                    database = starting.create_task(
                        enter("PostgreSQL 18", postgres.provide(folder, fsync=kind != "test", progress=progress))
                    )
                    broker = starting.create_task(
                        enter(f"Apache Kafka {kafka_jars.VERSION}", kafka.provide(folder, progress=progress))
                    )
            except ExceptionGroup as failed:
                lacking, faults = failed.split(SetupError)
                if lacking is None or faults is not None:
                    raise
                raise SetupError("\n".join(str(error) for error in lacking.exceptions)) from None
            yield Running(folder, database.result(), broker.result())


async def run_beside(kind: Kind, command: Sequence[str]) -> int:
    """Run a command with both addresses in its environment, and return its exit code once all is stopped."""
    async with stack(kind) as running:
        environment = {**os.environ, postgres.ADDRESS: running.postgres, kafka.ADDRESS: running.kafka}
        # Ctrl-C is passed on as such: a test runner tidies up after SIGINT, not after SIGTERM.
        child = await processes.start(command[0], command, log=None, environment=environment, stop_signal=signal.SIGINT)
        async with processes.running(child):
            code = await child.wait()
    return code if code >= 0 else 128 - code


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.stack", description=__doc__)
    actions = parser.add_subparsers(required=True)
    run = actions.add_parser("run", help="run a command beside PostgreSQL and Kafka")
    run.add_argument("--kind", choices=get_args(Kind), required=True, help="what the run is for")
    run.add_argument("command", nargs="+", metavar="-- COMMAND", help="the command and its arguments")
    given = parser.parse_args()
    return program.run(run_beside(given.kind, given.command))


if __name__ == "__main__":
    sys.exit(main())
