"""A worker of `things` that one message kills: `python -m tests.support.deadly worker`. `n` is below zero in that one."""

import os
import signal
import sys
from pathlib import Path

from chassis import cli
from chassis.service import Service
from chassis.settings import ServiceSettings
from tests.support.lanes import handlers


async def die(n: int) -> None:
    if n < 0:
        os.kill(os.getpid(), signal.SIGKILL)


SERVICE = Service("things", ServiceSettings, Path(__file__).parent, handlers=handlers(die))

if __name__ == "__main__":
    sys.exit(cli.main(SERVICE))
