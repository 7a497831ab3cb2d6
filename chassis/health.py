"""Health: whether this process lives, whether it can serve, and what it measures; plain, for machines beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server

from chassis import access
from chassis.errors import Misconfigured

log = structlog.get_logger()

SECONDS = 2.0

Check = Callable[[], Awaitable[object]]


def router(
    checks: Mapping[str, Check], *, alive: Callable[[], str | None] = lambda: None, shows_metrics: bool = True
) -> APIRouter:
    """Make the routes `/livez`, `/readyz` and, unless they have a port of their own, `/metrics`; nobody signs in for them.

    `/livez` never looks outside the process (ops-O3): it is 200 unless `alive` says, in a constant text, why not.
    `/readyz` asks every check at once; one that raises or takes longer than two seconds makes it 503, by its name only.
    """
    routes = APIRouter(
        include_in_schema=False, dependencies=[access.anyone("Machines beside it ask; nothing of a person is told.")]
    )

    @routes.get("/livez")
    async def livez() -> Response:
        reason = alive()
        return _plain("ok") if reason is None else _plain(reason, HTTPStatus.SERVICE_UNAVAILABLE)

    @routes.get("/readyz")
    async def readyz() -> Response:
        outcomes = await asyncio.gather(*(_passes(name, check) for name, check in checks.items()))
        failed = [name for name, passed in zip(checks, outcomes, strict=True) if not passed]
        return _plain("failed: " + ", ".join(failed), HTTPStatus.SERVICE_UNAVAILABLE) if failed else _plain("ok")

    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    if shows_metrics:
        routes.add_api_route("/metrics", metrics)
    return routes


@contextmanager
def showing_metrics(host: str, port: int) -> Iterator[None]:
    """Answer `/metrics` on a port of its own for the block, from a thread: also while the event loop is held up."""
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host}:{port} for /metrics: {error.strerror}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def _passes(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(SECONDS):
            await check()
    except Exception as error:
        log.warning("readiness_check_failed", check=name, error=type(error).__name__)
        return False
    return True


def _plain(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return PlainTextResponse(f"{text}\n", status)
