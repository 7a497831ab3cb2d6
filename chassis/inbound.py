"""Inbound: a file that a system uploads, signed by it, and refers to in a request; unless it does, the file is gone in a day.

The signature covers length and SHA-256, so nothing is read from a stranger, and what comes is compared as it streams:
written in pieces, never whole in memory, and no file at all until it is what was signed.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from chassis import access, bodies, signing
from chassis.errors import Kind, Refusal
from chassis.postgres import Connection, Database
from chassis.signing import Moment, NotProven, Statement
from contracts.requests import Unproven

log = structlog.get_logger()

PATH = "/v1/systems/{system}/inbound-files"
STREAMED = re.compile(r"/v1/systems/[^/]*/inbound-files")
"""The paths whose bodies are streamed; the app lets them be as large as `LARGEST`."""
LARGEST = 20_000_000
"""Bytes of a file (sec-F1)."""
WAITING = 500_000_000
"""The most bytes of one system that nobody refers to yet."""
PIECE = 1_048_576
SECONDS = 120.0
"""The most that an upload may take."""
USE = "samband-upload"


class UploadNotProven(Refusal):
    """This upload is not signed as it must be.

    The reason is {reason}.
    """

    kind = Kind.UNAUTHENTICATED


class UploadDiffers(Refusal):
    """The content is not what was signed.

    Its length or its SHA-256 is another. Nothing was kept.
    """

    kind = Kind.UNPROCESSABLE


class UploadIdReused(Refusal):
    """This upload's id was used for another file.

    Give each file a new id; send the same id only with the same file.
    """

    kind = Kind.CONFLICT


class UploadTookTooLong(Refusal):
    """The upload took too long.

    Nothing was kept. Send the same upload again, signed anew.
    """

    kind = Kind.UNAVAILABLE


class TooManyFiles(Refusal):
    """Too many files wait to be referred to.

    They are erased after a day. Send the requests that they are for first.
    """

    kind = Kind.TOO_MANY


class UnknownFile(Refusal):
    """There is no such file.

    Either it never came here from this system, or its day is over. Upload it again.
    """

    kind = Kind.MISSING


class FileInUse(Refusal):
    """Another request refers to this file.

    A file is for one request. Upload it again, under a new id, for each other.
    """

    kind = Kind.CONFLICT


class FileGone(Exception):
    """A file is read that is not there, or not whole: it was let go of, or was never referred to."""


class Upload(BaseModel):
    """What a system signs of an upload, besides the audience; all of it is text in the JWS's header."""

    model_config = ConfigDict(frozen=True)

    upload_id: UUID = Field(alias="message")
    time: Moment
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    length: Annotated[int, Field(ge=1, le=LARGEST)]


class InboundFile(BaseModel):
    """A file that came whole. `expires_at` is when it is erased, unless a request refers to it before."""

    file_id: UUID
    sha256: str
    length: int
    expires_at: AwareDatetime | None


def statement(upload_id: UUID, audience: str, time: str, content: bytes) -> Statement:
    """Say what a system signs to upload a content to a service."""
    digest = hashlib.sha256(content).hexdigest()
    facts = {"message": str(upload_id), "audience": audience, "time": time}
    return Statement(USE, facts | {"sha256": digest, "length": str(len(content))})


def router(database: Database) -> APIRouter:
    """Make the route by which systems upload; a service that takes files has it among its own."""
    routes = APIRouter(
        tags=["inbound files"],
        dependencies=[access.anyone("The system proves itself by what it has signed of the file.")],
    )
    body = {"required": True, "content": {bodies.OCTETS: {"schema": {"type": "string", "format": "binary"}}}}

    @routes.post(PATH, status_code=201, openapi_extra={"requestBody": body})
    async def upload_file(
        request: Request, system: str, authorization: Annotated[str | None, Header()] = None
    ) -> InboundFile:
        upload = _proven(database, system, authorization or "")
        async with database.transaction() as conn:
            if (there := await find_upload(conn, system, upload)) is not None:
                return there
            file_id = await insert_file(conn, system, upload, skew=database.identity.clock_skew)
        async with _unless_it_fails(database, file_id):
            await _store(database, file_id, upload, request)
            async with database.transaction() as conn:
                kept = await complete_file(conn, system, file_id, upload)
        log.info("inbound_file_kept", system=system, file_id=str(kept.file_id), length=kept.length)
        return kept

    return routes


def _proven(database: Database, system: str, authorization: str) -> Upload:
    """Give what the system has signed; raises `UploadNotProven`, or 413 for a file that is larger than any may be."""
    scheme, _, token = authorization.partition(" ")
    found = database.identity.systems.find(system)
    try:
        stated = signing.verify(token.strip() if scheme.lower() == "bearer" else "", b"", found.keys if found else {})
        return _read(stated, database.identity.service)
    except NotProven as error:
        log.warning("upload_not_proven", system=found.name if found else None, reason=str(error.reason))
        raise UploadNotProven(reason=error.reason) from None


def _read(stated: Statement, audience: str) -> Upload:
    if stated.use != USE or stated.facts.get("audience") != audience:
        raise NotProven(Unproven.OTHER_REQUEST)
    try:
        return Upload.model_validate(stated.facts)
    except ValidationError as error:
        if any(fault["type"] == "less_than_equal" for fault in error.errors()):
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) from None
        raise NotProven(Unproven.UNREADABLE_REQUEST) from None


@asynccontextmanager
async def _unless_it_fails(database: Database, file_id: UUID) -> AsyncIterator[None]:
    """Keep what was begun if the block ends well; erase it at once where it raises or is cancelled."""
    try:
        yield
    except BaseException:
        await asyncio.shield(_erase(database, file_id))
        raise


async def _erase(database: Database, file_id: UUID) -> None:
    async with database.transaction() as conn:
        await conn.execute(DELETE_UNFINISHED, file_id)


async def _store(database: Database, file_id: UUID, upload: Upload, request: Request) -> None:
    """Write the content piece by piece, each in a transaction of its own; raises `UploadDiffers` as soon as it does."""
    digest, length, place, piece = hashlib.sha256(), 0, 0, bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                length += len(chunk)
                if length > upload.length:
                    raise UploadDiffers
                digest.update(chunk)
                piece += chunk
                if len(piece) >= PIECE or length == upload.length:
                    async with database.transaction() as conn:
                        await conn.execute(INSERT_CHUNK, file_id, place, bytes(piece))
                    place += 1
                    piece.clear()
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, headers={"Connection": "close"}) from None
    if length != upload.length or digest.hexdigest() != upload.sha256:
        raise UploadDiffers


@dataclass(frozen=True, slots=True)
class File:
    """A file that a request referred to."""

    id: UUID
    sha256: str
    length: int


async def refer(conn: Connection, file_id: UUID, system: str) -> File:
    """Take a file that this system uploaded, for one request alone: it is kept from now on until `release`.

    Raises `UnknownFile`, or `FileInUse` for one that was taken before.
    """
    row = await conn.fetchrow(REFER_FILE, file_id, system)
    if row is None:
        raise FileInUse if await conn.fetchval(SELECT_IS_IN_USE, file_id, system) else UnknownFile
    return File(row["id"], row["sha256"].hex(), row["length"])


async def read(conn: Connection, file_id: UUID) -> AsyncIterator[bytes]:
    """Give the content of a file in pieces of about a mebibyte; raises `FileGone` where not all of it is there."""
    left, place = await conn.fetchval(SELECT_LENGTH, file_id), 0
    while left and (piece := await conn.fetchval(SELECT_CHUNK, file_id, place)) is not None:
        yield piece
        left, place = left - len(piece), place + 1
    if left != 0:
        raise FileGone(file_id)


async def release(conn: Connection, file_id: UUID) -> None:
    """Let go of a file that was referred to: it is erased within a minute or so."""
    await conn.execute(RELEASE_FILE, file_id)


SELECT_UPLOAD = """
select id, sha256, length, expires_at from inbound_files
where system = $1 and upload_id = $2 and completed_at is not null and (expires_at is null or expires_at > now())"""


async def find_upload(conn: Connection, system: str, upload: Upload) -> InboundFile | None:
    """Find the file that this upload became before; raises `UploadIdReused` where that is another one."""
    row = await conn.fetchrow(SELECT_UPLOAD, system, upload.upload_id)
    if row is None:
        return None
    if (row["sha256"].hex(), row["length"]) != (upload.sha256, upload.length):
        raise UploadIdReused
    return InboundFile(file_id=row["id"], sha256=upload.sha256, length=upload.length, expires_at=row["expires_at"])


INSERT_FILE = """
insert into inbound_files (system, upload_id, sha256, length)
select $1, $2, $3, $4::integer
where $5::timestamptz between now() - interval '5 minutes' and now() + make_interval(secs => $6) and $7 >= $4::integer + (
    select coalesce(sum(length), 0) from inbound_files where system = $1 and expires_at is not null)
returning id"""

SELECT_IS_TIMELY = """
select $1::timestamptz between now() - interval '5 minutes' and now() + make_interval(secs => $2)"""


async def insert_file(conn: Connection, system: str, upload: Upload, *, skew: float) -> UUID:
    """Note an upload that begins; raises `UploadNotProven` for a signature that is too old, or `TooManyFiles`."""
    await conn.execute(LOCK, system)
    digest = bytes.fromhex(upload.sha256)
    made: UUID | None = await conn.fetchval(
        INSERT_FILE, system, upload.upload_id, digest, upload.length, upload.time, skew, WAITING
    )
    if made is not None:
        return made
    if await conn.fetchval(SELECT_IS_TIMELY, upload.time, skew):
        raise TooManyFiles
    raise UploadNotProven(reason="stale")


INSERT_CHUNK = "insert into inbound_chunks (file_id, place, content) values ($1, $2, $3)"

LOCK = "select pg_advisory_xact_lock(hashtextextended('inbound ' || $1, 0))"

DELETE_EXPIRED = "delete from inbound_files where system = $1 and upload_id = $2 and expires_at <= now()"

COMPLETE_FILE = """
update inbound_files f set completed_at = now(), expires_at = now() + interval '1 day'
where f.id = $1 and not exists (
    select from inbound_files o where o.system = $2 and o.upload_id = $3 and o.completed_at is not null)
returning f.expires_at"""


async def complete_file(conn: Connection, system: str, file_id: UUID, upload: Upload) -> InboundFile:
    """Make a file of what came whole, or give the one that the same upload has become meanwhile.

    Raises `UploadTookTooLong` for what was erased meanwhile, or `UploadIdReused`.
    """
    await conn.execute(LOCK, f"{system} {upload.upload_id}")
    await conn.execute(DELETE_EXPIRED, system, upload.upload_id)
    expires_at: datetime | None = await conn.fetchval(COMPLETE_FILE, file_id, system, upload.upload_id)
    if expires_at is not None:
        return InboundFile(file_id=file_id, sha256=upload.sha256, length=upload.length, expires_at=expires_at)
    if (there := await find_upload(conn, system, upload)) is None:
        raise UploadTookTooLong
    await conn.execute(DELETE_UNFINISHED, file_id)
    return there


DELETE_UNFINISHED = "delete from inbound_files where id = $1 and completed_at is null"

REFER_FILE = """
update inbound_files set expires_at = null
where id = $1 and system = $2 and completed_at is not null and expires_at > now()
returning id, sha256, length"""

SELECT_IS_IN_USE = "select exists (select from inbound_files where id = $1 and system = $2 and expires_at is null)"

RELEASE_FILE = "update inbound_files set expires_at = now() where id = $1 and expires_at is null"

SELECT_LENGTH = "select length from inbound_files where id = $1"

SELECT_CHUNK = "select content from inbound_chunks where file_id = $1 and place = $2"

PRUNE = """
delete from inbound_files where id in (
    select id from inbound_files where expires_at < now() order by expires_at limit $1 for update skip locked)"""


async def prune(conn: Connection, limit: int) -> int:
    """Erase files whose time is over, a bounded number at a time; gives how many."""
    return int((await conn.execute(PRUNE, limit)).rpartition(" ")[2])
