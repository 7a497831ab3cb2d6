"""Loop: a tick again and again, woken early, stopped between two ticks."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from chassis import scope, telemetry

log = structlog.get_logger()

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0
PULSE_SECONDS = 0.5


def backoff(failures: int, *, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> float:
    """Give the seconds to wait after so many failures in a row: doubled each time, with jitter, bounded."""
    return min(longest, first * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)


class Loop:
    """Calls `tick` at once while it finds work (returns a count above zero), else every `every` seconds or when woken.

    It sees the rows of all organisations (`chassis/scope.py`).
    A tick that raises is logged and tried again with back-off: an outage ends when it ends.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], Awaitable[int]],
        *,
        every: float,
        at_end: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self._tick = tick
        self._every = every
        self._at_end = at_end
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Say that there may be work."""
        self._woken.set()

    def stop(self) -> None:
        """Ask it to end after the tick under way."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Tick until stopped, then await `at_end`, which lets go of what the ticks have kept."""
        with scope.entered(scope.SYSTEM):
            try:
                await self._run()
            finally:
                if self._at_end is not None:
                    await self._at_end()

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._woken.clear()
            try:
                worked = await self._tick()
            except Exception:
                failures += 1
                telemetry.LOOP_FAILURES.labels(loop=self.name).inc()
                log.exception("loop_tick_failed", loop=self.name, failures=failures)
                await self._wait(backoff(failures))
                continue
            failures = 0
            if not worked:
                await self._wait(self._every)

    async def _wait(self, seconds: float) -> None:
        if self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return


def pulse() -> Loop:
    """Make the loop that measures how late the event loop is: what holds it up holds up heartbeats and answers too."""
    due: float | None = None

    async def beat() -> int:
        nonlocal due
        now = time.monotonic()
        if due is not None:
            telemetry.LOOP_LAG.observe(max(0.0, now - due))
        due = now + PULSE_SECONDS
        return 0

    return Loop("pulse", beat, every=PULSE_SECONDS)
