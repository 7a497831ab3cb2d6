"""Three brokers, one of them killed under load: nothing is lost, and the work goes on before it is back."""

from collections.abc import AsyncIterator

import pytest

from deploy.local.folders import own_folder
from tests.faults.history import Outcome
from tests.faults.round import Order, play
from tests.faults.schedule import Planned
from tests.faults.stage import PAIR, Stage, stage
from tests.faults.trio import three_brokers

pytestmark = pytest.mark.timeout(240)

LONGEST_SECONDS = 30.0


@pytest.fixture(scope="module")
async def trio() -> AsyncIterator[Stage]:
    with own_folder("test") as folder:
        async with three_brokers(folder) as broker, stage(folder, broker, units=PAIR) as found:
            yield found


@pytest.mark.goal("rel-R1", "rel-R2", "rel-R3", "rel-R7")
async def test_the_work_goes_on_while_a_broker_that_was_killed_comes_back(trio: Stage) -> None:
    planned = [Planned(1.0, "crash leader", draw=1)]
    result = await play(trio, Order(1, 400, 0, 25.0, planned, longest_wait=LONGEST_SECONDS))
    assert result.findings.lines() == []
    assert result.fallen == []
    assert result.stuck == []
    assert result.recovered <= LONGEST_SECONDS
    assert result.history.count(Outcome.UNKNOWN) == 0
    assert 0 < result.waits["crash leader"] <= LONGEST_SECONDS
