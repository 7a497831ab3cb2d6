"""A worker of `things` whose client never gets an answer to a fetch: `python -m tests.support.frozen worker`.

With `SAMBAND_TEST_STOP=hangs` it does not even stop when it is asked to; with `is cut off` or `fails` its parts have only
a moment for that, and the one that hangs goes on after it, and with `fails` another part fails meanwhile. With `never opens`
it has no parts yet, and what it waits for hangs.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

from chassis import cli, parts, service, watchdog
from chassis.loop import Loop
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from tests.support.lanes import handlers

LEAVES_WITHIN = 3.0
A_MOMENT = 0.2
STOP = os.environ.get("SAMBAND_TEST_STOP", "in order")
fetch = Fetcher._proc_fetch_request


async def never_answered(fetcher: Any, *request: Any) -> Any:
    """Hang in the service's own consumers; the watchdog's fresh clients are well."""
    if fetcher._client._client_id == watchdog.CLIENT_ID:
        return await fetch(fetcher, *request)
    return await asyncio.Event().wait()


def loops(_: Runtime[Any]) -> Sequence[Loop]:
    at_end = {"in order": [], "fails": [hang, fail]}.get(STOP, [hang])
    return [Loop(each.__name__, idle, every=1, at_end=each) for each in at_end]


async def idle() -> int:
    return 0


async def hang(*_: object) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def fail() -> None:
    raise ValueError("x")


SERVICE = Service("things", ServiceSettings, Path(__file__).parent, handlers=handlers(), loops=loops)

if __name__ == "__main__":
    Fetcher._proc_fetch_request = never_answered
    parts.LEAVE_SECONDS = LEAVES_WITHIN
    if STOP in {"is cut off", "fails"}:
        parts.STOP_SECONDS["loops"] = A_MOMENT
    if STOP == "never opens":
        service._open = hang  # type: ignore[assignment]  # It opens nothing.
    sys.exit(cli.main(SERVICE))
