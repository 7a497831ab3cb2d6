"""Server: HTTP from a process's first moment; until the service is there, its routes say that they cannot be served yet."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import uvicorn
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import access
from chassis.errors import Misconfigured
from chassis.http import METHODS
from chassis.problems import OUTAGE_SECONDS


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts; raises `Misconfigured` when somebody has it."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}") from None


def not_yet() -> APIRouter:
    """Make the routes of a service that is not there yet: everything is answered 503, with when to try again."""
    routes = APIRouter(include_in_schema=False, dependencies=[access.anyone("Nothing is served yet.")])

    @routes.api_route("/{path:path}", methods=sorted(METHODS))
    async def refuse(path: str) -> None:  # noqa: ARG001 -- any path.
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(OUTAGE_SECONDS)})

    return routes


class Server:
    """Serves one app on a socket until stopped; `app` may be replaced while it serves, and each request meets one.

    Whoever shares out the requests learns a little late that it stops. So it goes on for `drain_seconds`, but tells each
    client to close its connection: one that is kept would be cut at the end, perhaps with a request on its way.
    """

    def __init__(self, listening: socket.socket, app: ASGIApp, *, drain_seconds: float = 0.0) -> None:
        self.app = app
        self._listening = listening
        self._drain_seconds = drain_seconds
        self._draining = False
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self._pass_on,
                interface="asgi3",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=65_536,
                timeout_graceful_shutdown=10,
            )
        )

    async def run(self) -> None:
        """Serve until stopped; requests under way are finished."""
        await self._uvicorn.serve(sockets=[self._listening])

    def stop(self) -> None:
        """Ask it to end, once it is drained."""
        self._draining = True
        asyncio.get_running_loop().call_later(self._drain_seconds, self._end)

    def _end(self) -> None:
        self._uvicorn.should_exit = True

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def close(message: Message) -> None:
            if self._draining and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, close)


class _Uvicorn(uvicorn.Server):
    """Uvicorn without signal handlers of its own: the order of stopping is decided in one place."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
