"""Writer: the process that does business; it writes flat out or at a rate, and notes when each commit returned."""

import asyncio
import time
from pathlib import Path
from typing import Any

import uvloop
from opentelemetry.trace import SpanKind

from bench import events, remote
from bench.events import SERVICE
from bench.ground import identity
from bench.samples import Samples
from chassis import tracing
from chassis.postgres import Database, open_database

MOST_WAITING = 4
"""Writes that are begun for each connection at once."""


class Writer:
    """Writes of one run, each by one of `clients` connections."""

    def __init__(self, database: Database, clients: int) -> None:
        self._database = database
        self._clients = clients
        self._samples = Samples()
        self._written = 0

    def commands(self) -> dict[str, remote.Command]:
        return {"flat_out": self.flat_out, "at_rate": self.at_rate, "written": self.written, "save": self.save}

    async def flat_out(self, seconds: float) -> dict[str, Any]:
        """Let every client write again and again; gives how many were committed, and in which time."""
        self._begin()
        began = time.monotonic_ns()
        until = began + round(seconds * 1e9)
        await asyncio.gather(*(self._write_until(until) for _ in range(self._clients)))
        return self._result(began)

    async def at_rate(self, rate: int, seconds: float) -> dict[str, Any]:
        """Begin `rate` writes a second, evenly, whether or not those before them are done.

        A machine that cannot keep up gets them later, not all at once: the count a second then tells.
        """
        self._begin()
        began = time.monotonic_ns()
        free = asyncio.Semaphore(MOST_WAITING * self._clients)
        async with asyncio.TaskGroup() as tasks:
            for n in range(round(rate * seconds)):
                await free.acquire()
                wait = began / 1e9 + n / rate - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                tasks.create_task(self._write()).add_done_callback(lambda _: free.release())
        return self._result(began)

    async def written(self) -> int:
        """Give how many were committed since the start."""
        return self._written + len(self._samples)

    async def save(self, path: str) -> None:
        self._samples.save(Path(path))

    def _begin(self) -> None:
        self._written += len(self._samples)
        self._samples.clear()

    async def _write_until(self, until: int) -> None:
        while time.monotonic_ns() < until:
            await self._write()

    async def _write(self) -> None:
        with tracing.resumed("write", None, kind=SpanKind.SERVER):  # As a request is.
            event = await events.write(self._database)
        self._samples.add(event.bytes, time.monotonic_ns())

    def _result(self, began: int) -> dict[str, Any]:
        return {"count": len(self._samples), "began": began, "ended": time.monotonic_ns()}


async def main() -> None:
    orders = remote.orders()
    async with open_database(orders["url"], identity(orders), size=orders["clients"]) as database:
        writer = Writer(database, orders["clients"])
        await writer.flat_out(0.3)  # Opens every connection and prepares every statement.
        await remote.obey(orders["socket"], writer.commands())


if __name__ == "__main__":
    with tracing.sending(SERVICE, "1"):
        uvloop.run(main())
