"""Child processes: in the foreground, with a log file, and none outlives its controller, not even a killed one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from deploy.local.errors import SetupError

_BECOME = Path(__file__).with_name("become.py")
_TAIL_BYTES = 4096


class Process:
    """A child that this controller started; signals go to it and its own group, never to anything else."""

    def __init__(
        self, name: str, child: asyncio.subprocess.Process, *, log: Path | None, stop_signal: signal.Signals
    ) -> None:
        self.name = name
        self.log = log
        self._child = child
        self._stop_signal = stop_signal

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._child.returncode

    def signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Stop it in the middle of whatever it does, for the block."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    async def wait(self) -> int:
        return await self._child.wait()

    async def stop(self, *, within: float = 10.0) -> int:
        """Ask it to end, kill it when the seconds are up or the caller is cancelled, and return its exit code."""
        self.signal(self._stop_signal)
        try:
            async with asyncio.timeout(within):
                return await self.wait()
        except TimeoutError:
            self.kill()
            return await self.wait()
        except asyncio.CancelledError:
            self.kill()
            raise

    def log_tail(self) -> str:
        """The last lines that it wrote, each indented."""
        if self.log is None:
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-20:])

    def failure(self, what: str) -> SetupError:
        return SetupError(f"{self.name} {what}; the end of its log:\n{self.log_tail()}")


async def start(  # noqa: PLR0913 - what a child may differ in; all but two have a default
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path | None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    user: str = "",
    stop_signal: signal.Signals = signal.SIGTERM,
    death_signal: signal.Signals = signal.SIGKILL,
) -> Process:
    """Start a program in a session of its own, so that Ctrl-C reaches the controller alone.

    Its output is appended to `log`; without one it shares the controller's terminal. `user` needs root.
    `death_signal` is what it gets when the thread that starts it ends: start children from the main thread.
    """
    ties = [str(os.getpid()), str(int(death_signal)), user]
    arguments = [sys.executable, "-I", "-S", str(_BECOME), *ties, *map(str, command)]

    async def spawn(stdin: int | None, output: int | None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *arguments, stdin=stdin, stdout=output, stderr=output, cwd=folder, env=environment, start_new_session=True
        )

    if log is None:
        child = await spawn(None, None)
    else:
        with _private(log) as output:
            child = await spawn(asyncio.subprocess.DEVNULL, output.fileno())
    return Process(name, child, log=log, stop_signal=stop_signal)


def _private(log: Path) -> BinaryIO:
    log.touch(mode=0o600)
    return log.open("ab")


@asynccontextmanager
async def running(process: Process, *, within: float = 10.0) -> AsyncIterator[Process]:
    """Stop the process at the end of the block, however the block ends."""
    try:
        yield process
    finally:
        await process.stop(within=within)


async def finish(process: Process, *, within: float) -> None:
    """Wait until the process ends well; raise `SetupError` with the end of its log when it does not."""
    async with running(process, within=2):
        try:
            async with asyncio.timeout(within):
                code = await process.wait()
        except TimeoutError:
            raise process.failure(f"was not done after {within:.0f} s") from None
    if code != 0:
        raise process.failure(f"failed with exit code {code}")


async def ready(process: Process, answers: Callable[[], Awaitable[bool]], *, within: float) -> None:
    """Wait until the server answers; raise `SetupError` with the end of its log when it dies or stays silent."""
    try:
        async with asyncio.timeout(within):
            while not await answers():
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await process.wait()
                if process.returncode is not None:
                    raise process.failure(f"ended at start with exit code {process.returncode}")
    except TimeoutError:
        raise process.failure(f"gave no answer within {within:.0f} s") from None
