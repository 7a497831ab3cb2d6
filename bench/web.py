"""Web: requests over a few kept connections, with no more of HTTP than that, so that the client is not what is measured."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deploy.local.errors import SetupError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    milliseconds: float


class Client:
    """One kept connection to a server that says how long its answers are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    async def post(self, path: str, body: Any, *, cookie: str) -> Answer:
        content = json.dumps(body).encode()
        return await self._send(
            f"POST {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\ncookie: {cookie}\r\n\r\n",
            content,
        )

    async def get(self, path: str) -> Answer:
        return await self._send(f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n", b"")

    async def _send(self, head: str, content: bytes) -> Answer:
        began = time.monotonic()
        self._writer.write(head.encode() + content)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:"))
        answer = await self._reader.readexactly(length)
        return Answer(int(lines[0].split()[1]), json.loads(answer), (time.monotonic() - began) * 1000)

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True, slots=True)
class Load:
    """What many requests showed: how many a second, and the milliseconds of each, sorted."""

    per_second: float
    milliseconds: list[float]
    answers: list[Answer]


async def put(url: str, work: Iterable[T], send: Callable[[Client, T], Awaitable[Answer]], *, clients: int) -> Load:
    """Have every piece of work sent, each connection the next as soon as it is free; answers come in the work's order."""
    parts = urlsplit(url)
    assert parts.hostname is not None  # noqa: S101 -- it is a server of this run.
    waiting = list(enumerate(work))[::-1]
    answers: dict[int, Answer] = {}

    async def work_on() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        client = Client(reader, writer, parts.netloc)
        while waiting:
            n, piece = waiting.pop()
            answers[n] = await send(client, piece)
        client.close()

    began = time.monotonic()
    await asyncio.gather(*(work_on() for _ in range(clients)))
    rate = len(answers) / (time.monotonic() - began)
    ordered = [answers[n] for n in sorted(answers)]
    return Load(rate, sorted(answer.milliseconds for answer in ordered), ordered)


def require(answers: Sequence[Answer], status: int) -> None:
    """Raise `SetupError` showing the first answer that has another status."""
    wrong = [answer for answer in answers if answer.status != status]
    if wrong:
        raise SetupError(f"{len(wrong)} answers other than {status}; the first is {wrong[0].status}: {wrong[0].body}")
