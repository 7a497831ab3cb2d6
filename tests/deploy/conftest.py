"""What the tests of the local stack share: a folder like a run's own, and the end of somebody else's process."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.folders import own_folder

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="dying with a parent is Linux's PR_SET_PDEATHSIG")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """A folder that another user may pass through; pytest's own are private."""
    with own_folder("test") as folder:
        yield folder


async def ended(pid: int, *, within: float = 10.0) -> bool:
    """Whether a process, not our child, ends within the seconds."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        readable, _, _ = await asyncio.to_thread(select.select, [watch], [], [], within)
    finally:
        os.close(watch)
    return bool(readable)
