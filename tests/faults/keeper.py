"""Keeper: keeps a role running as an orchestrator would, and lets it be hurt."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from chassis.parts import EX_SOFTWARE
from deploy.local.errors import SetupError
from deploy.local.platform import Platform
from deploy.local.processes import Process

AGAIN_SECONDS = 0.2
MEANT = (-signal.SIGKILL, -signal.SIGTERM, 0)
"""How a process may end here: killed by the suite or by itself at a failpoint, or stopped, before or after it could listen."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One process of the platform: `Unit("ledger", "worker-2")`."""

    service: str
    role: str

    def __str__(self) -> str:
        return f"{self.service} {self.role}"


@dataclass(frozen=True, slots=True)
class Death:
    """An end of a process; `code` is negative for a signal, `place` is where it died by its own hand."""

    unit: Unit
    at: datetime
    code: int
    place: str | None = None

    @property
    def meant(self) -> bool:
        return self.code in MEANT

    @property
    def stuck(self) -> bool:
        """Tell whether its watchdog ended it: that heals what hung (rel-R13), and should not be needed."""
        return self.code == EX_SOFTWARE


class StoppedLate(Exception):
    """A process had to be killed because it did not end in its time."""


class Keeper:
    """Starts one unit again whenever it ends; the next start may carry the place where it is to die."""

    def __init__(self, platform: Platform, unit: Unit) -> None:
        self.unit = unit
        self.deaths: list[Death] = []
        self._platform = platform
        self._place: str | None = None
        self._armed = False
        self._mark = platform.running.folder / f"{unit.service}-{unit.role}.died"
        self._gate = asyncio.Lock()
        self._stopping = False
        self._started = asyncio.Event()
        self._hurting = asyncio.Lock()

    @property
    def process(self) -> Process:
        return self._platform.processes[self.unit.service, self.unit.role]

    @property
    def url(self) -> str:
        return self._platform.url(self.unit.service, self.unit.role)

    async def run(self) -> None:
        """Keep it running until cancelled or stopped."""
        while not self._stopping:
            async with self._gate:
                process = await self._launch()
            code = await process.wait()
            self._started.clear()
            place = self._mark.read_text(encoding="utf-8") if self._mark.exists() else None
            self._mark.unlink(missing_ok=True)
            self.deaths.append(Death(self.unit, datetime.now(UTC), code, place))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _launch(self) -> Process:
        place, self._place = self._place, None
        self._armed = place is not None
        crashing = ("tests.support.crashing",) if place else ()
        extra = {"SAMBAND_TEST_FAILPOINT": place, "SAMBAND_TEST_MARK": str(self._mark)} if place else {}
        process = await self._platform.launch(self.unit.service, self.unit.role, program=crashing, extra=extra)
        self._started.set()
        return process

    async def ready(self, *, within: float = 60) -> None:
        """Wait until it runs and says that it is ready, though it may die on the way; raises `TimeoutError`."""
        async with asyncio.timeout(within):
            while True:
                await self._started.wait()
                process = self.process
                try:
                    await self._platform.ready(self.unit.service, self.unit.role, within=within)
                except SetupError:
                    if process.returncode is None:
                        raise
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    return

    async def kill(self, *, next_place: str | None = None) -> None:
        """End it as a power cut would; it comes back, and dies again at `next_place` if one is named."""
        async with self._hurting:
            await self._started.wait()
            self._place = next_place
            self.process.kill()
            await self.process.wait()

    async def disarm(self) -> None:
        """Replace a process that would still die at a place: what one round armed does not go off in the next."""
        if self._armed:
            await self.kill()

    async def terminate(self, *, within: float) -> None:
        """Ask it to end, as a rolling restart does; raises `StoppedLate` when it had to be killed."""
        async with self._hurting:
            await self._started.wait()
            process, began = self.process, asyncio.get_running_loop().time()
            await process.stop(within=within)
            if asyncio.get_running_loop().time() - began >= within:
                raise StoppedLate(f"{self.unit} did not end within {within:g} s of its SIGTERM")

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Stop it in mid-step, for the block."""
        async with self._hurting:
            await self._started.wait()
            async with self.process.frozen():
                yield

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Keep it from running, for the block."""
        async with self._hurting, self._gate:
            self.process.kill()
            await self.process.wait()
            yield

    def stop(self) -> None:
        """Start it no more."""
        self._stopping = True
