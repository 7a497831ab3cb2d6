"""Workers of `things` as processes of their own, on a test's database and topics."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from deploy.local.folders import CHECKOUT
from deploy.local.ports import LOOPBACK, free_port
from tests.conftest import Bus, Clone
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that was started, and where it answers."""

    process: asyncio.subprocess.Process
    port: int

    async def ready(self) -> None:
        """Wait until it has its partitions."""
        await self._answers("/readyz")

    async def alive(self) -> None:
        """Wait until it answers; from then on it hears signals."""
        await self._answers("/livez")

    async def _answers(self, path: str) -> None:
        async with httpx2.AsyncClient(base_url=f"http://{LOOPBACK}:{self.port}", trust_env=False) as client:

            async def well() -> bool:
                try:
                    return (await client.get(path)).status_code == httpx2.codes.OK
                except httpx2.TransportError:
                    return False

            await until(well, what=f"the worker to answer {path}", seconds=30)

    async def ended(self, *, within: float = 30) -> list[bytes]:
        """Wait until it has ended by itself; gives its log lines."""
        async with asyncio.timeout(within):
            said, _ = await self.process.communicate()
        return said.splitlines()


@asynccontextmanager
async def worker(module: str, clone: Clone, bus: Bus, **settings: str) -> AsyncIterator[Worker]:
    """Start `python -m <module> worker`; killed at the end if it still runs."""
    port, keys = free_port(), clone.cluster.keys
    environment = {
        "PATH": os.environ["PATH"],
        "SAMBAND_DATABASE_URL": clone.urls("things").app,
        "SAMBAND_KAFKA": bus.bootstrap,
        "SAMBAND_TOPIC_PREFIX": bus.prefix,
        "SAMBAND_PUBLIC_KEYS": str(keys / "public"),
        "SAMBAND_PRIVATE_KEYS": str(keys / "private" / "things.json"),
        "SAMBAND_HTTP_PORT": str(port),
        "SAMBAND_SESSION_SECONDS": "1",
        **settings,
    }
    command = (sys.executable, "-m", module, "worker")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Worker(process, port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
