"""Each fault alone, in a short round: nothing is lost, doubled, disordered or stuck."""

import pytest

from tests.faults.injuries import INJURIES, PLACES
from tests.faults.round import Order, Result, play
from tests.faults.schedule import plan
from tests.faults.stage import Stage

pytestmark = [pytest.mark.timeout(180), pytest.mark.goal("rel-R1", "rel-R2", "rel-R3", "rel-R4", "rel-R5", "rel-R7")]

COMMANDS, CODES, PACE = 80, 24, 40.0
GOALS = {"commit in reverse": "rel-R6", "die: courier": "rel-R14", "expire soon": "rel-R14", "terminate": "rel-R12"}
LONG = "freeze relay"
"""Takes 17 s; "wake relay" is its short form."""


def mail(kind: str) -> bool:
    return kind in {"die: courier", "expire soon"}


async def play_short(stage: Stage, *injuries: str, misbehaving_mail: bool = False) -> Result:
    planned = plan(len(stage.deaths()) + 1, COMMANDS / PACE, injuries)
    return await play(stage, Order(1, COMMANDS, CODES, PACE, planned, misbehaving_mail=misbehaving_mail))


def expect_nothing_damaged(result: Result) -> None:
    assert result.findings.lines() == []
    assert result.fallen == []
    assert result.recovered <= 30
    assert len(result.history.commands) >= COMMANDS


@pytest.mark.parametrize(
    "injury",
    [
        pytest.param(name, marks=pytest.mark.goal(GOALS[name]) if name in GOALS else ())
        for name in INJURIES
        if name != LONG
    ],
)
async def test_one_fault_damages_nothing(stage: Stage, injury: str) -> None:
    before = len(stage.deaths())
    result = await play_short(stage, injury, misbehaving_mail=mail(injury))
    expect_nothing_damaged(result)
    if injury.removeprefix("die: ") in PLACES:
        assert len(stage.deaths()) > before
    if injury == "replay":
        assert result.duplicates > 0


async def test_several_faults_at_once_damage_nothing(stage: Stage) -> None:
    result = await play_short(stage, "restart postgres", "crash kafka", "die: courier", "die: consumer", "cut relay")
    expect_nothing_damaged(result)


async def test_without_a_fault_every_command_is_answered(stage: Stage) -> None:
    result = await play_short(stage)
    expect_nothing_damaged(result)
    assert {command.outcome.value for command in result.history.commands} == {"ok", "refused"}
    assert result.deaths == []
