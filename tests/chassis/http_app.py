"""A small app that shows every way a request can end, and clients for it."""

import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import httpx2
import structlog
import uvicorn
from fastapi import APIRouter, Body, FastAPI, HTTPException, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chassis import access, health, http
from chassis.errors import Kind, Refusal

OURS = "https://portal.example"
SECRET = "select pin from accounts -- /srv/app/store.py"


class TooManyThings(Refusal):
    """There are too many things.

    Wait {seconds} seconds before you
    add one.
    """

    kind = Kind.TOO_MANY


class NotSignedIn(Refusal):
    """Sign in first."""

    kind = Kind.UNAUTHENTICATED


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=2, max_length=20)]
    amount: Annotated[int, Field(ge=1)] = 1
    colour: Literal["red", "blue"] = "red"
    made_at: AwareDatetime | None = None
    parts: list["Thing"] = []


router = APIRouter(prefix="/v1", dependencies=[access.anyone("a test asks")])


@router.post("/things", status_code=201)
async def add_thing(thing: Thing) -> Thing:
    return thing


@router.get("/things/{thing_id}")
async def show_thing(thing_id: UUID, limit: Annotated[int, Query(le=100)] = 10) -> dict[str, object]:
    return {"thing_id": thing_id, "limit": limit}


@router.post("/anything")
async def echo(content: Annotated[Any, Body()]) -> Any:
    structlog.get_logger().info("echoed")
    return content


@router.get("/errors/{name}")
async def fail(name: str) -> None:
    errors = {
        "too-many": TooManyThings(retry_after=30, seconds=30),
        "factless": TooManyThings(),
        "unauthenticated": NotSignedIn(),
        "bug": RuntimeError(SECRET),
        "outage": asyncpg.ConnectionDoesNotExistError(SECRET),
        "not-acceptable": HTTPException(406, SECRET),
        "teapot": HTTPException(418, SECRET),
    }
    raise errors[name]


@router.get("/breaks-off")
async def break_off() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a beginning"
        raise RuntimeError(SECRET)

    return StreamingResponse(pieces())


def make_app(**choices: Any) -> FastAPI:
    return http.create_app(
        title="demo", version="9.8.7", routers=[router, health.router({})], **{"origins": [OURS], **choices}
    )


@contextmanager
def logged() -> Iterator[list[Any]]:
    """Gather the log lines, with what is bound to their context, whatever level the tests' own logging has."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    try:
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
            yield lines
    finally:
        structlog.configure(wrapper_class=before)


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://demo.test") as client:
        yield client


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[int]:
    """Serve the app with uvicorn as production does; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        try:
            yield int(listening.getsockname()[1])
        finally:
            await server.shutdown(sockets=[listening])
