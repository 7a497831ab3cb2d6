"""Sink: the fastest mail server there is; it takes every mail after a given time and keeps it unread.

aiosmtpd costs more processor time for a mail than the courier does, and would be what is measured.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Self

from deploy.local.ports import LOOPBACK

ANSWERS = {b"EHLO": b"250-sink\r\n250 8BITMIME\r\n", b"QUIT": b"221 Bye\r\n"}
DOT = b"\r\n.\r\n"


@dataclass(slots=True)
class Sink:
    """The server, from `async with` to its end; `seconds` is how long it takes over each mail."""

    seconds: float = 0.0
    port: int = 0
    mails: list[tuple[float, bytes]] = field(default_factory=list)
    """The moment at which each was taken, and its text."""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._converse, LOOPBACK, 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            command = line[:4].upper()
            if command == b"DATA":
                writer.write(b"354 Go on\r\n")
                await self._take(await reader.readuntil(DOT))
            writer.write(ANSWERS.get(command, b"250 OK\r\n"))
            if command == b"QUIT":
                break
        writer.close()

    async def _take(self, text: bytes) -> None:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        self.mails.append((time.monotonic(), text))
