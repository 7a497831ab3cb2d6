"""Contained: a server in a container, held by a child in the foreground; the container is gone when the child is.

`python -m deploy.local.contained --port OUTSIDE:INSIDE --env NAME … -- IMAGE ARGUMENTS` shows what the server writes. The
named variables go in as they stand in the child's environment. The port is open on the loopback address alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import NoReturn

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from deploy.local.ports import LOOPBACK


def main() -> int:
    """Run the container until a signal or its own end; gives the exit code of what ran in it, 0 after a signal."""
    given = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    # Its helper removes what a killed process left; here the signal that comes with the controller's death does.
    testcontainers_config.ryuk_disabled = True
    container = DockerContainer(given.image, env={name: os.environ[name] for name in given.env})
    outside, inside = given.port.split(":")
    # The library's type knows no address, the engine does: without one the port would be open to the network.
    container.ports[f"{inside}/tcp"] = (LOOPBACK, int(outside))  # type: ignore[assignment]
    container.with_command(given.command)
    with container:
        running = container.get_wrapped_container()
        for said in running.logs(stream=True, follow=True):
            sys.stdout.buffer.write(said)
            sys.stdout.flush()
        return int(running.wait()["StatusCode"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.contained", description=__doc__)
    parser.add_argument("--port", required=True, metavar="OUTSIDE:INSIDE")
    parser.add_argument("--env", action="append", default=[], metavar="NAME")
    parser.add_argument("image")
    parser.add_argument("command", nargs="*", metavar="ARGUMENT")
    return parser.parse_args()


def _leave(*_: object) -> NoReturn:
    """Leave the block that holds the container; a second signal must not interrupt the removal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
