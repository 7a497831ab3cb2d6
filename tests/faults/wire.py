"""Wire: the network between the platform and one server, which can be slow, go one way only, trickle, or break.

Every connection of the services goes over it. Of the suite's own only those to Kafka do, because a client of Kafka goes where
the broker says it is.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from deploy.local.ports import LOOPBACK

PIECE = 65_536
RST_AT_CLOSE = struct.pack("ii", 1, 0)


class Way(Enum):
    """To the server, or back from it."""

    THERE = auto()
    BACK = auto()


@dataclass(slots=True, eq=False)
class _Line:
    """One connection: both of its ends."""

    ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    cut: bool = False
    """Whether the next piece is its last, and only half of it passes."""

    def reset(self) -> None:
        for end in self.ends:
            if not end.is_closing():
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_AT_CLOSE)
                end.transport.abort()


@dataclass(slots=True)
class Wire:
    """Leads connections from `port` to the server's `target`; a server that is away looks away from here too."""

    port: int
    target: int
    _lines: set[_Line] = field(default_factory=set)
    _open: dict[Way, asyncio.Event] = field(default_factory=lambda: {way: asyncio.Event() for way in Way})
    _healed: asyncio.Event = field(default_factory=asyncio.Event)
    _delay: float = 0.0
    _bytes_per_second: float | None = None

    @asynccontextmanager
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        """Let every piece take so long, each way, for the block."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0
            self._heal()

    @asynccontextmanager
    async def trickling(self, bytes_per_second: float) -> AsyncIterator[None]:
        """Let each connection pass no more than so much, each way, for the block."""
        self._bytes_per_second = bytes_per_second
        try:
            yield
        finally:
            self._bytes_per_second = None
            self._heal()

    def _heal(self) -> None:
        """Let go at once what is still on its way: a trickle may have left it with a minute to go."""
        self._healed.set()
        self._healed = asyncio.Event()

    @asynccontextmanager
    async def one_way(self, held: Way) -> AsyncIterator[None]:
        """Hold back what goes one way, for the block; it arrives after it, as it would by being sent again."""
        self._open[held].clear()
        try:
            yield
        finally:
            self._open[held].set()

    async def reset(self, *, within: float = 1.0) -> int:
        """Break every connection in the middle of its next piece, or when none has come in time; gives how many there were."""
        lines = list(self._lines)
        for line in lines:
            line.cut = True
        await asyncio.sleep(within)
        for line in lines:
            line.reset()
        return len(lines)

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        """Take connections, for the block."""
        for gate in self._open.values():
            gate.set()
        tasks: set[asyncio.Task[None]] = set()

        async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._lead(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(lead, LOOPBACK, self.port)
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            writer.transport.abort()
            return
        line = _Line((writer, to_writer))
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pass(Way.THERE, reader, to_writer, line), self._pass(Way.BACK, to_reader, writer, line)
            )
        finally:
            self._lines.discard(line)
            line.reset()

    async def _pass(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        """Pass on what comes and that it ends; where one side breaks, the other is told so."""
        try:
            while piece := await reader.read(PIECE):
                await self._hinder(way, len(piece))
                if line.cut:
                    writer.write(piece[: len(piece) // 2])
                    await writer.drain()
                    line.reset()
                    return
                writer.write(piece)
                await writer.drain()
            await self._hinder(way, 0)
            writer.write_eof()
        except OSError:
            line.reset()

    async def _hinder(self, way: Way, size: int) -> None:
        seconds = self._delay + (size / self._bytes_per_second if self._bytes_per_second else 0.0)
        if seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._healed.wait()
        await self._open[way].wait()
