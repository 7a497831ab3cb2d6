"""Ports for servers that must know theirs before they start."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from deploy.local.errors import SetupError

LOOPBACK = "127.0.0.1"

# Below the range that outgoing connections take theirs from (Linux from 32768, macOS from 49152): a client that
# retries a stopped server there can end up connected to itself, and the server finds its port taken.
_RANGE = range(20_000, 32_000)


def free_port() -> int:
    """A port on the loopback address that nothing listens on, and that no other process was given here.

    A server takes its port a moment later: two runs side by side must not be given the same one meanwhile.
    """
    for port in random.SystemRandom().sample(_RANGE, 100):
        if _is_free(port) and _lock(port):
            return port
    raise SetupError(f"no free port on {LOOPBACK} between {_RANGE.start} and {_RANGE.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _lock(port: int) -> bool:
    """Keep a port for this process, until it ends; False when it was given already. The empty files stay."""
    folder = Path(tempfile.gettempdir()) / f"samband-ports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(folder / str(port), os.O_CREAT | os.O_WRONLY, mode=0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True


async def listens(port: int) -> bool:
    """Whether a server takes connections on this port of the loopback address."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
