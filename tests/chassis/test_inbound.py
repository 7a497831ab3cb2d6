"""Inbound: a file that is signed comes once and whole, or not at all."""

import asyncio
import hashlib
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from chassis import inbound, signing
from chassis.inbound import LARGEST, PIECE, TooManyFiles, UploadTookTooLong
from chassis.postgres import Database
from tests.support.asking import DESK_KEY
from tests.support.effects import Owner
from tests.support.uploading import (
    CONTENT,
    LONG,
    ago,
    begin,
    begun,
    facts,
    kept,
    read,
    receiving,
    refer,
    token,
    told,
    upload,
)
from tests.support.waiting import until


@pytest.fixture
def app(known: Database) -> FastAPI:
    return receiving(known)


@pytest.mark.goal("sec-F7")
async def test_a_signed_file_is_kept_for_a_day_under_an_id_of_our_own(
    app: FastAPI, known: Database, owner: Owner
) -> None:
    answer = await upload(app, token(CONTENT))
    told = answer.json()
    assert (answer.status_code, told["length"]) == (201, len(CONTENT))
    assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert await read(known, told["file_id"]) == CONTENT
    left = await owner.fetchval("select expires_at - completed_at from things.inbound_files")
    assert left == timedelta(days=1)


async def test_a_p256_key_signs_as_well(app: FastAPI) -> None:
    assert (await upload(app, token(CONTENT, key=DESK_KEY), name="desk")).status_code == 201


async def test_the_same_upload_again_is_the_same_file(app: FastAPI, owner: Owner) -> None:
    signed = token(CONTENT)
    first, second = await upload(app, signed), await upload(app, signed)
    assert (second.status_code, second.json()) == (201, first.json())
    assert await kept(owner) == 1


async def test_the_same_upload_is_a_new_file_when_its_day_is_over_and_it_is_not_erased_yet(
    app: FastAPI, known: Database, owner: Owner
) -> None:
    name = uuid4()
    first = (await upload(app, token(CONTENT, upload_id=name))).json()
    await owner.execute("update things.inbound_files set expires_at = now() - interval '1 second'")
    second = (await upload(app, token(CONTENT, upload_id=name))).json()
    assert second["file_id"] != first["file_id"]
    assert datetime.fromisoformat(second["expires_at"]) > datetime.now(UTC)
    assert (await refer(known, UUID(second["file_id"]))).length == len(CONTENT)
    assert await begun(owner) == 1


async def test_what_was_erased_before_it_came_whole_becomes_no_file(known: Database, owner: Owner) -> None:
    file_id, sent = await begin(known)
    await owner.execute("delete from things.inbound_files")
    async with known.transaction() as conn:
        with pytest.raises(UploadTookTooLong):
            await inbound.complete_file(conn, "member", file_id, sent)


async def test_an_upload_that_comes_twice_at_once_is_one_file(app: FastAPI, owner: Owner) -> None:
    signed = token(CONTENT)
    answers = await asyncio.gather(*(upload(app, signed) for _ in range(4)))
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    assert await begun(owner) == 1


async def test_an_id_is_not_used_for_another_file(app: FastAPI) -> None:
    name = uuid4()
    assert (await upload(app, token(CONTENT, upload_id=name))).status_code == 201
    other = await upload(app, token(b"another", upload_id=name), b"another")
    assert (other.status_code, other.json()["type"]) == (409, "urn:samband:problem:upload-id-reused")


NOT_PROVEN: dict[str, Callable[[], tuple[str, str]]] = {
    "nothing": lambda: ("", "member"),
    "no JWS": lambda: ("e30", "member"),
    "of a stranger": lambda: (token(CONTENT, key=signing.new_key("x")), "member"),
    "of another system": lambda: (token(CONTENT, key=DESK_KEY), "member"),
    "for another system": lambda: (token(CONTENT), "desk"),
    "for a system that is not known": lambda: (token(CONTENT), "nobody"),
    "for another service": lambda: (token(CONTENT, change=lambda s: facts(s, audience="auth")), "member"),
    "a request's": lambda: (token(CONTENT, change=lambda s: replace(s, use="samband-request")), "member"),
    "stale": lambda: (token(CONTENT, change=lambda s: facts(s, time=ago(minutes=6))), "member"),
    "ahead": lambda: (token(CONTENT, change=lambda s: facts(s, time=ago(minutes=-3))), "member"),
    "of a number for a time": lambda: (token(CONTENT, change=lambda s: facts(s, time=str(int(time.time())))), "member"),
    "before all": lambda: (token(CONTENT, change=lambda s: facts(s, time="0001-01-01T00:00:00+14:00")), "member"),
    "without a digest": lambda: (token(CONTENT, change=lambda s: facts(s, sha256="")), "member"),
    "of a length below one": lambda: (token(b""), "member"),
    "of no length": lambda: (token(CONTENT, change=lambda s: facts(s, length="many")), "member"),
    "of no id": lambda: (token(CONTENT, change=lambda s: facts(s, message="../../etc/passwd")), "member"),
}


@pytest.mark.parametrize("name", NOT_PROVEN)
async def test_what_is_not_signed_as_it_must_be_is_refused_and_nothing_is_kept(
    name: str, app: FastAPI, owner: Owner
) -> None:
    signed, to = NOT_PROVEN[name]()
    answer = await upload(app, signed, name=to)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:samband:problem:upload-not-proven")
    assert await begun(owner) == 0


@pytest.mark.parametrize("content", [CONTENT.swapcase(), CONTENT + b"!", CONTENT[:-1], b""])
async def test_content_that_is_not_what_was_signed_becomes_no_file(content: bytes, app: FastAPI, owner: Owner) -> None:
    answer = await upload(app, token(CONTENT), content)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:samband:problem:upload-differs"
    assert await begun(owner) == 0


class Halting:
    """A body of which one piece comes, and then nothing."""

    def __init__(self) -> None:
        self.halted = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield LONG[:-1]
        self.halted.set()
        await asyncio.Event().wait()


async def breaking() -> AsyncIterator[bytes]:
    yield LONG[:-1]
    raise ConnectionResetError


@pytest.mark.goal("sec-F1")
async def test_of_an_upload_that_fails_nothing_is_left_that_counts(
    app: FastAPI, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "WAITING", len(LONG))
    assert (await upload(app, token(LONG), LONG[:-1])).status_code == 422
    assert (await upload(app, token(LONG), breaking())).status_code == 503
    cancelled = asyncio.create_task(upload(app, token(LONG), halting := Halting()))
    await halting.halted.wait()
    assert await begun(owner) == 1
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await begun(owner), await owner.fetchval("select count(*) from things.inbound_chunks")) == (0, 0)
    monkeypatch.setattr(inbound, "SECONDS", 0.2)
    assert (await upload(app, token(LONG), Halting())).status_code == 408
    monkeypatch.undo()
    monkeypatch.setattr(inbound, "WAITING", len(LONG))
    assert (await upload(app, token(LONG), LONG)).status_code == 201


class Endless:
    """A body without an end, that counts what was taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 65_536
            yield bytes(65_536)


@pytest.mark.goal("sec-F1")
async def test_a_body_is_cut_as_soon_as_it_is_longer_than_was_signed(app: FastAPI) -> None:
    body = Endless()
    assert (await upload(app, token(CONTENT), body)).status_code == 422
    assert body.taken == 65_536


@pytest.mark.goal("sec-F1")
async def test_nothing_is_read_of_a_file_that_is_too_large_or_not_signed(app: FastAPI) -> None:
    body, largest = Endless(), {"length": str(LARGEST + 1)}
    answers = [
        await upload(app, token(CONTENT, change=lambda s: facts(s, **largest)), body),
        await upload(app, "", body),
        await upload(app, token(CONTENT), body, **{"Content-Type": "application/pdf"}),
        await upload(app, token(CONTENT), b"", **{"Content-Length": str(LARGEST + 1)}),
    ]
    assert [answer.status_code for answer in answers] == [413, 401, 415, 413]
    assert body.taken == 0


@pytest.mark.goal("sec-F1")
async def test_the_largest_file_passes_and_is_never_whole_in_memory(app: FastAPI, known: Database) -> None:
    content = bytes(LARGEST)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, LARGEST, 65_536):
            yield content[start : start + 65_536]

    signed = token(content)
    tracemalloc.start()
    try:
        answer = await upload(app, signed, pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 201
    assert peak < 8 * PIECE
    assert hashlib.sha256(await read(known, answer.json()["file_id"])).digest() == hashlib.sha256(content).digest()


async def test_a_system_that_lets_too_much_lie_is_told_to_wait(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, known: Database
) -> None:
    monkeypatch.setattr(inbound, "WAITING", len(CONTENT))
    first = await upload(app, token(CONTENT))
    assert (await upload(app, token(CONTENT))).status_code == 429
    assert (await upload(app, token(CONTENT, key=DESK_KEY), name="desk")).status_code == 201
    async with known.transaction() as conn:
        await inbound.refer(conn, UUID(first.json()["file_id"]), "member")
    assert (await upload(app, token(CONTENT))).status_code == 201


BLOCKED = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"


async def test_uploads_at_once_do_not_pass_the_limit_together(
    monkeypatch: pytest.MonkeyPatch, known: Database, owner: Owner
) -> None:
    monkeypatch.setattr(inbound, "WAITING", len(CONTENT))
    async with known.transaction() as conn:
        await inbound.insert_file(conn, "member", told(), skew=5)
        other = asyncio.create_task(begin(known))

        async def decided() -> bool:
            return other.done() or bool(await owner.fetchval(BLOCKED))

        await until(decided, what="the second upload to be noted or to wait for the first")
    with pytest.raises(TooManyFiles):
        await other


async def test_the_document_of_the_api_tells_of_the_body(app: FastAPI) -> None:
    operation = app.openapi()["paths"][inbound.PATH]["post"]
    assert list(operation["requestBody"]["content"]) == ["application/octet-stream"]
