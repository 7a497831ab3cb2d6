"""Each fault alone, in a short round: nothing is lost, doubled, disordered or stuck."""

import pytest

from tests.faults.injuries import INJURIES, PLACES
from tests.faults.round import Order, Result, play
from tests.faults.schedule import Planned, plan
from tests.faults.stage import Stage

pytestmark = [pytest.mark.timeout(240), pytest.mark.goal("rel-R1", "rel-R2", "rel-R3", "rel-R4", "rel-R5", "rel-R7")]

COMMANDS, CODES, PACE = 80, 24, 40.0
TRIES = 6
SLOW_PACE = 16.0
"""Slow enough for a process to come back and join its group while there is work."""
GOALS = {"commit in reverse": "rel-R6", "expire soon": "rel-R14", "terminate": "rel-R12"}
RECOVERY_SECONDS, FAILOVER_SECONDS = 30.0, 60.0
"""What rel-R7 gives until all is read: after a fault, and after one of a broker or a database."""
SERVERS_HURT = {
    "restart postgres",
    "pause kafka",
    "crash kafka",
    *(name for name in INJURIES if name.startswith("wire: ")),
}
TOGETHER = {"auth api": "blocks", "users": "codes"}
"""Deaths of two processes that one round has room for. In these people also do what takes several commands."""
LONG = "freeze relay"
"""Takes 17 s; "wake relay" is its short form."""


async def play_short(stage: Stage, *injuries: str, pace: float = PACE) -> Result:
    planned = plan(len(stage.deaths()) + 1, COMMANDS / pace, injuries) if injuries else []
    return await play(stage, Order(1, COMMANDS, CODES, pace, planned, misbehaving_mail=False, latest=1))


def expect_nothing_damaged(result: Result) -> None:
    assert result.findings.lines() == []
    assert result.fallen == []
    assert result.stuck == []
    assert result.undone == []
    hurt = {planned.injury for planned in result.order.injuries}
    assert result.recovered <= (FAILOVER_SECONDS if hurt & SERVERS_HURT else RECOVERY_SECONDS)
    assert len(result.history.commands) >= COMMANDS


@pytest.mark.parametrize(
    "injury",
    [
        pytest.param(name, marks=pytest.mark.goal(GOALS[name]) if name in GOALS else ())
        for name in INJURIES
        if name != LONG and not name.startswith(("die: ", "wire: "))
    ],
)
async def test_one_fault_damages_nothing(stage: Stage, injury: str) -> None:
    result = await play_short(stage, injury, pace=SLOW_PACE if injury == "expire soon" else PACE)
    expect_nothing_damaged(result)
    if injury == "replay":
        assert result.duplicates > 0
    if injury == "expire soon":
        assert result.mails_given_up > 0


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.goal("rel-R14") if kind == "courier" else ())
        for kind in PLACES
        if kind not in TOGETHER.values()
    ],
)
async def test_a_death_in_the_middle_of_a_step_damages_nothing(stage: Stage, kind: str) -> None:
    """A process is armed before the work begins. A place that one short round does not reach is tried for again, more slowly:
    on a busy machine the work was over before the process was back.
    """
    stumbling, acts = 0.3 if kind == "retry" else 0.03, int(kind in TOGETHER)
    left = {each: set(PLACES[each][2]) for each in (kind, TOGETHER.get(kind)) if each}
    for draw in range(TRIES):
        planned = [Planned(0.0, f"die: {each}", draw) for each in left]
        pace = SLOW_PACE / (1 + draw / 2)
        order = Order(1, COMMANDS, CODES, pace, planned, kind == "courier", stumbling=stumbling, latest=1, acts=acts)
        result = await play(stage, order)
        expect_nothing_damaged(result)
        died = {death.place for death in result.deaths}
        left = {each: places for each, places in left.items() if not places & died}
        if not left:
            return
    pytest.fail(f"in {TRIES} rounds nothing died at {left}")


async def test_a_network_that_is_slow_or_broken_damages_nothing(stage: Stage) -> None:
    """All four together, to whichever server: each alone would have the suite wait for four recoveries."""
    result = await play_short(stage, *(name for name in INJURIES if name.startswith("wire: ")))
    expect_nothing_damaged(result)


async def test_several_faults_at_once_damage_nothing(stage: Stage) -> None:
    result = await play_short(stage, "restart postgres", "crash kafka", "die: courier", "die: consumer", "cut relay")
    expect_nothing_damaged(result)


async def test_without_a_fault_every_command_is_answered(stage: Stage) -> None:
    result = await play_short(stage)
    expect_nothing_damaged(result)
    assert {command.outcome.value for command in result.history.commands} == {"ok", "refused"}
    assert result.deaths == []
