"""A server that stops lets the requests that still come its way be answered, and no connection be kept."""

import asyncio

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from chassis.server import Server, listen
from deploy.local.ports import LOOPBACK


@pytest.mark.goal("rel-R12")
async def test_while_it_drains_it_answers_and_lets_no_connection_be_kept() -> None:
    listening = listen(LOOPBACK, 0)
    server = Server(listening, PlainTextResponse("here"), drain_seconds=60)
    serving = asyncio.create_task(server.run())
    url = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
    async with httpx2.AsyncClient(timeout=10) as client, httpx2.AsyncClient(timeout=10) as newcomer:
        assert "connection" not in (await client.get(url)).headers
        server.stop()
        for each in (client, client, newcomer):
            answer = await each.get(url)
            assert (answer.text, answer.headers["connection"]) == ("here", "close")
    server._end()
    await serving
