"""A port that leads to a server only while it is open, as a server that is away and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from deploy.local.ports import LOOPBACK, free_port


class Forwarder:
    """Refuses connections until `open`; then leads them to the server of a URL."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._port = free_port()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The same URL past this port."""
        user = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{user}@{LOOPBACK}:{self._port}"))

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._lead, LOOPBACK, self._port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer), return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def forwarding(url: str) -> AsyncIterator[Forwarder]:
    """Give a port that refuses, to be opened by the test."""
    forwarder = Forwarder(url)
    try:
        yield forwarder
    finally:
        await forwarder.close()
