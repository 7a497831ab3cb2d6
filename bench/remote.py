"""Remote: a role of the pipeline in a process of its own, told what to do over a socket, a JSON object a line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from chassis import logging
from deploy.local import processes
from deploy.local.folders import CHECKOUT

ORDERS = "SAMBAND_BENCH_ORDERS"
START_SECONDS = 60.0
ANSWER_SECONDS = 120.0
LAST_WORDS_SECONDS = 5.0

Command = Callable[..., Awaitable[Any]]


class Remote:
    """The controller's end."""

    def __init__(self, process: processes.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self._reader = reader
        self._writer = writer

    async def ask(self, command: str, **arguments: Any) -> Any:
        """Have a command carried out and give its result; raises `SetupError` with the end of its log when it cannot."""
        self._writer.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await self._reader.readline()
        if not line:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self.process.wait()
            raise self.process.failure(f"did not answer to {command!r}")
        return json.loads(line)


@asynccontextmanager
async def role(name: str, folder: Path, orders: Mapping[str, Any]) -> AsyncIterator[Remote]:
    """Run `python -m bench.<name>` for the block, and return once it is ready to be asked.

    What the orders have under `environment` is added to its own.
    """
    socket = folder / f"{name}-{os.urandom(4).hex()}.socket"
    came: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    came = asyncio.get_running_loop().create_future()
    server = await asyncio.start_unix_server(lambda reader, writer: came.set_result((reader, writer)), socket)
    environment = {**os.environ, **orders.get("environment", {}), ORDERS: json.dumps({**orders, "socket": str(socket)})}
    command = [sys.executable, "-m", f"bench.{name}"]
    log = folder / f"bench-{name}.log"
    process = await processes.start(f"bench {name}", command, log=log, environment=environment, folder=CHECKOUT)
    try:
        await processes.ready(process, lambda: _is_done(came), within=START_SECONDS)
        reader, writer = came.result()
        yield Remote(process, reader, writer)
        writer.close()
    finally:
        server.close()
        await process.stop(within=20)


async def _is_done(future: "asyncio.Future[Any]") -> bool:
    return future.done()


def orders() -> dict[str, Any]:
    """Read what this process was started for; and set up its log, which the controller shows when it dies."""
    logging.configure("bench", "bench", "WARNING")
    given: dict[str, Any] = json.loads(os.environ[ORDERS])
    return given


async def obey(socket: str, commands: Mapping[str, Command]) -> None:
    """Say that this process is ready, and carry commands out one at a time until the controller hangs up."""
    reader, writer = await asyncio.open_unix_connection(socket)
    while line := await reader.readline():
        asked = json.loads(line)
        result = await commands[asked["command"]](**asked["arguments"])
        writer.write(json.dumps(result).encode() + b"\n")
    writer.close()
