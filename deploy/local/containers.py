"""Containers: servers from images, where an engine answers that speaks Docker's API (Docker, Podman)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import processes
from deploy.local.errors import SetupError
from deploy.local.folders import CHECKOUT

MODE = "SAMBAND_LOCAL_CONTAINERS"
"""`auto`: where an engine answers and has the image or can fetch it; `always`: or say why not; `never`."""

_MODES = ("auto", "always", "never")
_DEFAULT_SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True, slots=True)
class Contained:
    """A server in a container: what it is called, what it is made of, and the port that it has inside and outside."""

    name: str
    image: str
    port: int
    inside: int
    environment: Mapping[str, str]
    arguments: Sequence[str] = ()


async def image(setting: str, default: str, progress: Callable[[str], None]) -> str | None:
    """The image to start a server from, which the engine has now; None where the machine's own programs are to serve.

    `setting` is the environment variable that may name another image. Raises `SetupError` where containers are wanted
    always and there is no engine, or the image cannot be had.
    """
    mode = os.environ.get(MODE, "auto")
    if mode not in _MODES:
        raise SetupError(f"{MODE}={mode}: it is one of {', '.join(_MODES)}")
    if mode == "never" or (mode == "auto" and not _is_likely()):
        return None
    wanted = os.environ.get(setting) or default
    lacking = await asyncio.to_thread(_lacking, wanted, progress)
    if lacking is None:
        return wanted
    if mode == "always":
        raise SetupError(f"{MODE}=always, and {lacking}")
    progress(f"{lacking}: using this machine's own programs")
    return None


@asynccontextmanager
async def running(server: Contained, log: Path, answers: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Run it for the block, which begins when it answers; raises `SetupError` with the end of its log."""
    options = [f"--port={server.port}:{server.inside}", *(f"--env={name}" for name in server.environment)]
    child = await processes.start(
        server.name,
        [sys.executable, "-m", "deploy.local.contained", *options, "--", server.image, *server.arguments],
        log=log,
        environment={**os.environ, **server.environment},
        folder=CHECKOUT,
        death_signal=signal.SIGTERM,
    )
    async with processes.running(child, within=30):
        await processes.ready(child, answers, within=120)
        yield


def _is_likely() -> bool:
    """Whether it is worth asking: most machines without an engine are told apart without loading a client."""
    return bool(os.environ.get("DOCKER_HOST")) or _DEFAULT_SOCKET.exists()


def _lacking(wanted: str, progress: Callable[[str], None]) -> str | None:
    """Say what stands in the way of a container from this image; None when it can be started."""
    if (silent := _silent_socket()) is not None:
        return silent
    import docker  # noqa: PLC0415 - a fifth of a second, for those who have an engine
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415

    try:
        client: Any = docker.from_env(timeout=300)
    except DockerException as error:
        return f"no container engine answers ({_first_line(error)})"
    try:
        client.images.get(wanted)
    except ImageNotFound:
        progress(f"fetching the image {wanted}, this once …")
        try:
            client.images.pull(wanted)
        except DockerException as error:
            return f"the image {wanted} cannot be fetched ({_first_line(error)})"
    except DockerException as error:
        return f"the container engine refused to look for an image ({_first_line(error)})"
    finally:
        client.close()
    return None


def _silent_socket() -> str | None:
    """Say that nobody listens on the engine's socket; asked here because the client leaves its own end open then."""
    host = os.environ.get("DOCKER_HOST") or f"unix://{_DEFAULT_SOCKET}"
    if not host.startswith("unix://"):
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(host.removeprefix("unix://"))
        except OSError as error:
            return f"no container engine answers on {host} ({error.strerror})"
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
