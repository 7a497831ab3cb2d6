"""A worker that is stuck leaves by itself with its own exit code, also when it cannot stop any more."""

import json
from uuid import uuid4

import pytest

from chassis.parts import EX_SOFTWARE
from tests.conftest import Bus, Clone
from tests.support.effects import send
from tests.support.things import ThingHappened
from tests.support.workers import worker


@pytest.mark.goal("rel-R13")
@pytest.mark.parametrize("stop", ["in order", "hangs"])
async def test_a_stuck_worker_leaves_by_itself_with_a_code_of_its_own(stop: str, clone: Clone, bus: Bus) -> None:
    settings = {"SAMBAND_STUCK_SECONDS": "2", "SAMBAND_TEST_STOP": stop}
    async with worker("tests.support.frozen", clone, bus, **settings) as frozen:
        await frozen.ready()
        await send(bus, ThingHappened(thing_id=uuid4(), n=1))
        lines = await frozen.ended()
    assert frozen.process.returncode == EX_SOFTWARE
    events = [json.loads(line)["event"] for line in lines if line.startswith(b"{")]
    assert events.index("lane_stuck") < events.index("service_stops")
    assert ("service_stopped" in events) == (stop == "in order")
