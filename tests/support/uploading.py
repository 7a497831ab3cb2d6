"""Files that the systems `member` and `desk` upload to `things`, and what becomes of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
from fastapi import FastAPI

from chassis import http, inbound, signing
from chassis.inbound import LARGEST, PIECE
from chassis.postgres import Database
from chassis.signing import Statement
from tests.support.asking import KEY
from tests.support.effects import Owner

CONTENT = b"%PDF-1.7 a letter"
LONG = bytes(PIECE + 10)
Change = Callable[[Statement], Statement]


def receiving(known: Database) -> FastAPI:
    """Give the API of a service that takes files from the systems it knows."""
    streamed = {inbound.STREAMED: LARGEST}
    return http.create_app(title="things", version="1", routers=[inbound.router(known)], streamed=streamed)


def facts(statement: Statement, **changes: str) -> Statement:
    return replace(statement, facts={**statement.facts, **changes})


def token(
    content: bytes, *, key: signing.Key = KEY, upload_id: UUID | None = None, change: Change | None = None
) -> str:
    now = datetime.now(UTC).isoformat()
    stated = inbound.statement(upload_id or uuid4(), "things", now, content)
    return signing.sign(change(stated) if change else stated, b"", key)


async def upload(
    app: FastAPI, signed: str, content: Any = CONTENT, *, name: str = "member", **headers: str
) -> httpx2.Response:
    sent = {"Authorization": f"Bearer {signed}", "Content-Type": "application/octet-stream", "Accept-Language": "en"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app, raise_app_exceptions=False), base_url="https://things.example"
    ) as client:
        path = f"/v1/systems/{name}/inbound-files"
        return await client.post(path, content=content, headers={**sent, **headers})


async def kept(owner: Owner) -> int:
    return int(await owner.fetchval("select count(*) from things.inbound_files where completed_at is not null"))


async def begun(owner: Owner) -> int:
    return int(await owner.fetchval("select count(*) from things.inbound_files"))


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def told() -> inbound.Upload:
    return inbound.Upload.model_validate(inbound.statement(uuid4(), "things", ago(), CONTENT).facts)


async def begin(known: Database) -> tuple[UUID, inbound.Upload]:
    """Begin an upload as a process does that ends over it."""
    async with known.transaction() as conn:
        return await inbound.insert_file(conn, "member", sent := told(), skew=5), sent


async def read(known: Database, file_id: str) -> bytes:
    async with known.transaction() as conn:
        return b"".join([piece async for piece in inbound.read(conn, UUID(file_id))])


async def refer(known: Database, file_id: UUID, name: str = "member") -> inbound.File:
    async with known.transaction() as conn:
        return await inbound.refer(conn, file_id, name)
