"""Ports for servers that must know theirs before they start."""

from __future__ import annotations

import asyncio
import random
import socket

from deploy.local.errors import SetupError

LOOPBACK = "127.0.0.1"

# Below the range that outgoing connections take theirs from (Linux from 32768, macOS from 49152): a client that
# retries a stopped server there can end up connected to itself, and the server finds its port taken.
_RANGE = range(20_000, 32_000)


def free_port() -> int:
    """A port on the loopback address that nothing listens on, likely to stay so for the moments until it is used."""
    for port in random.SystemRandom().sample(_RANGE, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise SetupError(f"no free port on {LOOPBACK} between {_RANGE.start} and {_RANGE.stop}")


async def listens(port: int) -> bool:
    """Whether a server takes connections on this port of the loopback address."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
