"""A worker of `things` whose client never gets an answer to a fetch: `python -m tests.support.frozen worker`.

With `SAMBAND_TEST_STOP=hangs` it does not even stop when it is asked to.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

from chassis import cli, parts, watchdog
from chassis.loop import Loop
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from tests.support.lanes import handlers

LEAVES_WITHIN = 1.0
fetch = Fetcher._proc_fetch_request


async def never_answered(fetcher: Any, *request: Any) -> Any:
    """Hang in the service's own consumers; the watchdog's fresh clients are well."""
    if fetcher._client._client_id == watchdog.CLIENT_ID:
        return await fetch(fetcher, *request)
    return await asyncio.Event().wait()


def loops(_: Runtime[Any]) -> Sequence[Loop]:
    return [Loop("idle", idle, every=1, at_end=hang)] if os.environ.get("SAMBAND_TEST_STOP") == "hangs" else []


async def idle() -> int:
    return 0


async def hang() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


SERVICE = Service("things", ServiceSettings, Path(__file__).parent, handlers=handlers(), loops=loops)

if __name__ == "__main__":
    Fetcher._proc_fetch_request = never_answered
    parts.LEAVE_SECONDS = LEAVES_WITHIN
    sys.exit(cli.main(SERVICE))
