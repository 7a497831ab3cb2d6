"""The simulator as a process of its own: `python -m deploy.local.provider --port P --client FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn

from deploy.local.ports import LOOPBACK
from deploy.local.provider.app import application
from deploy.local.provider.registration import read_client
from deploy.local.provider.simulator import Simulator


def main() -> int:
    """Serve until it is told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.provider", description="Simulate an identity provider."
    )
    parser.add_argument("--port", type=int, required=True, help="where it answers")
    parser.add_argument("--client", type=Path, required=True, help="JSON file with what it is told of its client")
    given = parser.parse_args()
    client = read_client(given.client)
    simulator = Simulator(f"http://{LOOPBACK}:{given.port}", {client.id: client})
    uvicorn.run(application(simulator), host=LOOPBACK, port=given.port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
