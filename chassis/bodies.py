"""Bodies: what a request carries is bounded, in time, and clean JSON before any of our code sees it (RFC 8259)."""

import asyncio
import json
import math
import re
from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import Never

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from chassis.errors import Kind, Refusal

JSON = "application/json"
OCTETS = "application/octet-stream"
FORM = "application/x-www-form-urlencoded"
SECONDS = 20.0
DEEPEST = 64
LONGEST_LENGTH = 18
_CLOSE = {"Connection": "close"}  # What is still on its way is not read.
_UNUSABLE = re.compile(r"[\x00\ud800-\udfff]")
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)


class MalformedJson(Refusal):
    """The body is not JSON.

    Line {line}, column {column} cannot be read.
    """

    kind = Kind.INVALID


class JsonBeyondLimits(Refusal):
    """The JSON goes beyond what is read here.

    It is nested deeper than {deepest} levels, or holds a number that is too long, NaN or Infinity.
    """

    kind = Kind.INVALID


async def admit(headers: Headers, receive: Receive, *, largest: int, content_types: Collection[str]) -> Receive:
    """Give the way to read the body on, once it is known to be acceptable.

    JSON is read whole and checked here. Other content types that are allowed are bounded as they stream. Raises an
    `HTTPException` (408, 413, 415) or what `check_json` raises, and `ClientDisconnect`.
    """
    _refuse_declared_size(headers, largest)
    bounded = _bound(receive, largest)
    content_type = _content_type(headers)
    if content_type is not None and content_type != JSON and content_type in content_types:
        return bounded
    body = await _read(bounded)
    if body:
        if content_type is None or content_type not in content_types:
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        check_json(body)
    return _replay(body, receive)


def admit_octets(headers: Headers, receive: Receive, *, largest: int) -> Receive:
    """Give the way to read octets on, bounded as they stream; raises an `HTTPException` (413, 415) before any is read."""
    _refuse_declared_size(headers, largest)
    if _content_type(headers) != OCTETS:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, headers=_CLOSE)
    return _bound(receive, largest)


async def admit_form(headers: Headers, receive: Receive, *, largest: int) -> Receive:
    """Give the way to read a form on, read whole; raises an `HTTPException` (408, 413, 415), and `ClientDisconnect`."""
    _refuse_declared_size(headers, largest)
    if _content_type(headers) != FORM:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, headers=_CLOSE)
    return _replay(await _read(_bound(receive, largest)), receive)


def check_json(body: bytes) -> None:
    """Refuse what is not JSON in UTF-8, or holds what Postgres cannot keep.

    Raises `MalformedJson`, `JsonBeyondLimits`, or `RequestValidationError` naming each text with NUL or a lone
    surrogate, and each number beyond double precision.
    """
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        before = body[: error.start].decode()
        raise MalformedJson(line=before.count("\n") + 1, column=len(before) - before.rfind("\n")) from None
    except json.JSONDecodeError as error:
        raise MalformedJson(line=error.lineno, column=error.colno) from None
    except (ValueError, RecursionError):
        raise JsonBeyondLimits(deepest=DEEPEST) from None
    errors = [{"type": code, "loc": ("body", *path)} for code, path in _unusable(value)]
    if errors:
        raise RequestValidationError(errors)


def _refuse_constant(name: str) -> Never:
    raise ValueError(name)


def _unusable(value: object) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    waiting: list[tuple[object, tuple[str | int, ...]]] = [(value, ())]
    while waiting:
        value, path = waiting.pop()
        if len(path) >= DEEPEST and isinstance(value, dict | list):
            raise JsonBeyondLimits(deepest=DEEPEST)
        match value:
            case dict():
                yield from (("unusable_text", path) for name in value if not _is_clean(name))
                waiting += [(item, (*path, name)) for name, item in value.items()]
            case list():
                waiting += [(item, (*path, place)) for place, item in enumerate(value)]
            case str() if not _is_clean(value):
                yield "unusable_text", path
            case float() if not math.isfinite(value):
                yield "finite_number", path


def _is_clean(text: str) -> bool:
    return not _UNUSABLE.search(text)


def _refuse_declared_size(headers: Headers, largest: int) -> None:
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise HTTPException(HTTPStatus.BAD_REQUEST, headers=_CLOSE)
    if len(declared) > LONGEST_LENGTH or int(declared) > largest:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers=_CLOSE)


def _content_type(headers: Headers) -> str | None:
    """Name the body's media type; None where it is unsaid, said twice, compressed, or not in UTF-8."""
    values = headers.getlist("content-type")
    if len(values) != 1 or headers.get("content-encoding", "identity").lower() != "identity":
        return None
    charset = _CHARSET.search(values[0])
    if charset and charset[1].lower() not in {"utf-8", "utf8"}:
        return None
    return values[0].partition(";")[0].strip().lower()


def _bound(receive: Receive, largest: int) -> Receive:
    total = 0

    async def bounded() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > largest:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers=_CLOSE)
        return message

    return bounded


async def _read(receive: Receive) -> bytes:
    chunks = bytearray()
    more = True
    try:
        async with asyncio.timeout(SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunks += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, headers=_CLOSE) from None
    return bytes(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
