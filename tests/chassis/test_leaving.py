"""A worker that is stuck leaves by itself with its own exit code, also when it cannot stop any more."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx2
import pytest

from chassis.parts import EX_SOFTWARE
from deploy.local.folders import CHECKOUT
from deploy.local.ports import LOOPBACK, free_port
from tests.conftest import Bus, Clone
from tests.support.effects import send
from tests.support.things import ThingHappened
from tests.support.waiting import until

pytestmark = pytest.mark.goal("rel-R13")
SECONDS = 2


def environment(clone: Clone, bus: Bus, port: int) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SAMBAND_DATABASE_URL": clone.urls("things").app,
        "SAMBAND_KAFKA": bus.bootstrap,
        "SAMBAND_TOPIC_PREFIX": bus.prefix,
        "SAMBAND_PUBLIC_KEYS": str(clone.cluster.keys / "public"),
        "SAMBAND_PRIVATE_KEYS": str(clone.cluster.keys / "private" / "things.json"),
        "SAMBAND_HTTP_PORT": str(port),
        "SAMBAND_STUCK_SECONDS": str(SECONDS),
    }


@asynccontextmanager
async def frozen_worker(clone: Clone, bus: Bus, **extra: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a worker that gets no answer to its fetches, and wait until it has its partitions."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.frozen",
        "worker",
        cwd=CHECKOUT,
        env={**environment(clone, bus, port), **extra},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx2.AsyncClient(trust_env=False) as client:

            async def is_ready() -> bool:
                try:
                    answer = await client.get(f"http://{LOOPBACK}:{port}/readyz")
                except httpx2.TransportError:
                    return False
                return answer.status_code == httpx2.codes.OK

            await until(is_ready, what="the worker to be ready", seconds=30)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("stop", ["in order", "hangs"])
async def test_a_stuck_worker_leaves_by_itself_with_a_code_of_its_own(stop: str, clone: Clone, bus: Bus) -> None:
    async with frozen_worker(clone, bus, SAMBAND_TEST_STOP=stop) as process:
        await send(bus, ThingHappened(thing_id=uuid4(), n=1))
        async with asyncio.timeout(25):
            said, _ = await process.communicate()
    assert process.returncode == EX_SOFTWARE
    events = [json.loads(line)["event"] for line in said.splitlines() if line.startswith(b"{")]
    assert events.index("lane_stuck") < events.index("service_stops")
    assert ("service_stopped" in events) == (stop == "in order")
