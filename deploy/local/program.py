"""Programs that stop in order: the first Ctrl-C or SIGTERM cancels the work, and the work cleans up behind itself."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from deploy.local.errors import SetupError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end and return the exit code: the work's own, 1 after a `SetupError`, 128 + n after signal n."""
    try:
        return asyncio.run(_until_signalled(work))
    except SetupError as error:
        tell(f"error: {error}")
        return 1


def tell(line: str) -> None:
    """Show progress; on stderr, because stdout belongs to the program's result."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


async def _until_signalled(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        # A second Ctrl-C must not interrupt the stopping: every step of it has a time limit.
        if not received:
            received.append(number)
            task.cancel()

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
