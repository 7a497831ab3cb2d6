"""Parts: what runs in one process, started together, stopped in order, and when the process leaves by itself."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

STOP_SECONDS = {"watchdog": 2.0, "http": 16.0, "consumers": 17.0, "loops": 10.0, "relay": 5.0}
"""The most each group may take; normally they end at once."""
STOP_ALTOGETHER_SECONDS = 18.0
"""The most that all may take: what is cut off then is rolled back, and done again by another process."""
CUT_OFF_SECONDS = 0.2
"""The most that a group's parts may take to end once they are cut off."""
LEAVE_SECONDS = 24.5
"""When the process leaves whatever still runs; the stop of the parts and the closing of the pool fit in."""
EX_SOFTWARE = 70
"""The exit code of a process that was stuck and left by itself (sysexits.h)."""


class Stuck(Exception):
    """Something here does not move although it could, which only a new process mends; the text is a constant."""


class NotReady(Exception):
    """Some parts have not started, such as a consumer that has no partitions yet."""


@dataclass(slots=True)
class Part:
    """Something that runs until it is asked to stop; one that ends before makes the process leave."""

    group: str
    name: str
    run: Callable[[], Awaitable[None]]
    stop: Callable[[], None]
    ready: Callable[[], bool] = lambda: True
    task: "asyncio.Task[None] | None" = None

    @property
    def error(self) -> BaseException | None:
        """What ended it, when it has ended by itself with an error."""
        if self.task is None or not self.task.done() or self.task.cancelled():
            return None
        return self.task.exception()


class Parts:
    """A process's parts, and its end: SIGTERM, SIGINT, or a part that ends by itself.

    Leaving the block stops the parts group by group, in the order of `STOP_SECONDS`, and closes `resources`; then
    `exit_code` is what the process should leave with. A process that is `leaving` by itself is ended with that code
    `LEAVE_SECONDS` after it was to stop, whatever hangs in it then: a part, or what was begun before there were parts.
    """

    def __init__(self, *, leaving: bool = False) -> None:
        self._parts: list[Part] = []
        self._leaving = leaving
        self.resources = AsyncExitStack()
        """What the parts use."""
        self.stopping = asyncio.Event()
        self.exit_code = 0

    async def __aenter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._begin_to_stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = [part for part in self._parts if part.task is not None and part.task.done()]
        self._judge(ended)
        if error is not None:
            self.exit_code = self.exit_code or 1
        self._begin_to_stop()
        log.info("service_stops")
        async with self.resources:
            until = time.monotonic() + STOP_ALTOGETHER_SECONDS
            for group, seconds in STOP_SECONDS.items():
                left = max(0.0, until - time.monotonic())
                await _stop([part for part in self._parts if part.group == group], min(seconds, left))
            self._judge([part for part in self._parts if part.error is not None and part not in ended])
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
        log.info("service_stopped")

    def start(self, parts: Sequence[Part]) -> None:
        """Start parts, those first that stop last."""
        for part in reversed(parts):
            part.task = asyncio.ensure_future(part.run())
            part.task.add_done_callback(lambda _: self._begin_to_stop())
        self._parts.extend(parts)

    async def unless_stopping(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Await the work; give it up, and give None, when the process is to end."""
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for waiting in (task, stopping):
                waiting.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)

    def why_not_alive(self) -> str | None:
        """Say in a constant text why this process should be ended; None while it should not."""
        return next((str(part.error) for part in self._parts if isinstance(part.error, Stuck)), None)

    async def require_ready(self) -> None:
        """Raise `NotReady` with the names of the parts that are not, and when all are to stop."""
        if self.stopping.is_set():
            raise NotReady("it stops")
        if waiting := [part.name for part in self._parts if not part.ready()]:
            raise NotReady(waiting)

    def _judge(self, ended: Sequence[Part]) -> None:
        """Tell of parts that ended without being asked to, or with an error, and decide the exit code by them."""
        for part in ended:
            if not isinstance(part.error, Stuck):
                log.critical("part_ended", part=part.name, exc_info=part.error)
        if self.why_not_alive() is not None:
            self.exit_code = EX_SOFTWARE
        elif ended:
            self.exit_code = 1

    def _begin_to_stop(self) -> None:
        if self.stopping.is_set():
            return
        self.stopping.set()
        if self._leaving:  # Each log line is flushed as it is written: nothing has to be done before it.
            timer = threading.Timer(LEAVE_SECONDS, lambda: os._exit(self.exit_code))
            timer.daemon = True
            timer.start()


async def _stop(parts: Sequence[Part], seconds: float) -> None:
    tasks = [part.task for part in parts if part.task is not None]
    for part in parts:
        part.stop()
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        log.error("part_stopped_late", parts=[part.name for part in parts if part.task is task])
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=CUT_OFF_SECONDS)
