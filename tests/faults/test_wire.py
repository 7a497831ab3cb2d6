"""The wire itself: it passes all there is, in order, and hinders as it says."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from deploy.local.ports import LOOPBACK, free_port
from tests.faults.wire import RST_AT_CLOSE, Way, Wire

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echoing() -> AsyncIterator[Wire]:
    """A wire to a server that says back whatever it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while heard := await reader.read(65_536):
                writer.write(heard)
        except ConnectionResetError:
            return
        writer.close()

    target = free_port()
    async with await asyncio.start_server(echo, LOOPBACK, target), Wire(free_port(), target).laid() as wire:
        yield wire


@asynccontextmanager
async def dialled(wire: Wire) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(LOOPBACK, wire.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def say(streams: Streams, words: bytes) -> bytes:
    """Send, and give what comes back."""
    reader, writer = streams
    writer.write(words)
    async with asyncio.timeout(20):
        return await reader.readexactly(len(words))


async def test_everything_passes_in_order_and_an_end_that_closes_closes_the_other() -> None:
    words = bytes(range(256)) * 4_000
    async with echoing() as wire, dialled(wire) as streams:
        assert await say(streams, words) == words
        streams[1].write_eof()
        assert await streams[0].read() == b""


async def test_a_slow_wire_delays_both_ways() -> None:
    async with echoing() as wire, dialled(wire) as streams, wire.slow(0.2):
        began = time.monotonic()
        assert await say(streams, b"slowly") == b"slowly"
        assert time.monotonic() - began >= 0.4


async def test_a_trickle_passes_so_much_a_second() -> None:
    async with echoing() as wire, dialled(wire) as streams, wire.trickling(1_000):
        began = time.monotonic()
        assert await say(streams, bytes(200)) == bytes(200)
        assert time.monotonic() - began >= 0.4


async def test_what_a_trickle_has_hardly_begun_to_pass_arrives_when_the_wire_is_well() -> None:
    async with echoing() as wire, dialled(wire) as streams:
        async with wire.trickling(1.0):
            waiting = asyncio.create_task(say(streams, bytes(10_000)))
            done, _ = await asyncio.wait({waiting}, timeout=0.3)
            assert not done
        assert await waiting == bytes(10_000)


@pytest.mark.parametrize("held", Way)
async def test_what_is_held_one_way_arrives_when_the_wire_is_well(held: Way) -> None:
    async with echoing() as wire, dialled(wire) as streams:
        assert await say(streams, b"before") == b"before"
        async with wire.one_way(held):
            waiting = asyncio.create_task(say(streams, b"during"))
            done, _ = await asyncio.wait({waiting}, timeout=0.3)
            assert not done
        assert await waiting == b"during"


async def test_a_reset_breaks_a_connection_in_the_middle_of_a_piece_and_new_ones_are_well() -> None:
    async with echoing() as wire:
        async with dialled(wire) as streams:
            reader, writer = streams
            assert await say(streams, b"before") == b"before"
            breaking = asyncio.create_task(wire.reset(within=0.2))
            await asyncio.sleep(0)
            writer.write(b"0123456789")
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(10)
            assert await breaking == 1
        async with dialled(wire) as streams:
            assert await say(streams, b"after") == b"after"


async def test_an_idle_connection_is_reset_too() -> None:
    async with echoing() as wire, dialled(wire) as streams:
        assert await say(streams, b"before") == b"before"
        assert await wire.reset(within=0.01) == 1
        with pytest.raises(ConnectionResetError):
            await streams[0].read(1)


async def test_a_client_that_dies_with_an_answer_unread_breaks_its_server_s_end_too() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        with suppress(OSError):
            await reader.read()
        writer.close()
        ended.set()

    target = free_port()
    async with await asyncio.start_server(serve, LOOPBACK, target), Wire(free_port(), target).laid() as wire:
        client = socket.create_connection((LOOPBACK, wire.port))
        assert await asyncio.to_thread(client.recv, 5, socket.MSG_PEEK)  # The answer is there, and stays unread.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_AT_CLOSE)
        client.close()
        async with asyncio.timeout(10):
            await ended.wait()


async def test_a_server_that_is_away_looks_away() -> None:
    async with Wire(free_port(), free_port()).laid() as wire, dialled(wire) as (reader, _):
        assert await reader.read() == b""
