"""A worker leaves by itself with the exit code of its end, also when it cannot stop any more."""

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


@pytest.mark.goal("rel-R12")
@pytest.mark.parametrize(
    ("stop", "code", "says"),
    [
        ("hangs", 0, {"service_stops"}),
        ("is cut off", 0, {"service_stops", "part_stopped_late", "service_stopped"}),
        ("fails", 1, {"service_stops", "part_stopped_late", "part_ended", "service_stopped"}),
    ],
)
async def test_a_worker_that_is_told_to_stop_and_does_not_leaves_with_the_code_of_its_end(
    stop: str, code: int, says: set[str], clone: Clone, bus: Bus
) -> None:
    async with worker("tests.support.frozen", clone, bus, SAMBAND_TEST_STOP=stop) as told:
        await told.ready()
        told.process.terminate()
        lines = await told.ended()
    assert told.process.returncode == code
    events = {json.loads(line)["event"] for line in lines if line.startswith(b"{")}
    assert events & {"service_stops", "part_stopped_late", "part_ended", "service_stopped"} == says


@pytest.mark.goal("rel-R12")
async def test_a_worker_that_is_told_to_stop_while_its_start_hangs_leaves(clone: Clone, bus: Bus) -> None:
    async with worker("tests.support.frozen", clone, bus, SAMBAND_TEST_STOP="never opens") as told:
        await told.alive()
        told.process.terminate()
        lines = await told.ended()
    assert told.process.returncode == 0
    assert not any(b"service_stops" in line for line in lines)
