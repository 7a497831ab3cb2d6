"""Each fault alone, in a short round: nothing is lost, doubled, disordered or stuck."""

import pytest

from tests.faults.injuries import INJURIES, PLACES
from tests.faults.round import Order, Result, play
from tests.faults.schedule import plan
from tests.faults.stage import Stage

pytestmark = [pytest.mark.timeout(180), pytest.mark.goal("rel-R1", "rel-R2", "rel-R3", "rel-R4", "rel-R5", "rel-R7")]

COMMANDS, CODES, PACE = 80, 24, 40.0
TRIES = 4
GOALS = {"commit in reverse": "rel-R6", "expire soon": "rel-R14", "terminate": "rel-R12"}
LONG = "freeze relay"
"""Takes 17 s; "wake relay" is its short form."""


def mail(kind: str) -> bool:
    return kind == "expire soon"


async def play_short(stage: Stage, *injuries: str, misbehaving_mail: bool = False, stumbling: float = 0.03) -> Result:
    planned = plan(len(stage.deaths()) + 1, COMMANDS / PACE, injuries) if injuries else []
    order = Order(1, COMMANDS, CODES, PACE, planned, misbehaving_mail, stumbling=stumbling, latest=1)
    return await play(stage, order)


def expect_nothing_damaged(result: Result) -> None:
    assert result.findings.lines() == []
    assert result.fallen == []
    assert result.undone == []
    assert result.recovered <= 30
    assert len(result.history.commands) >= COMMANDS


@pytest.mark.parametrize(
    "injury",
    [
        pytest.param(name, marks=pytest.mark.goal(GOALS[name]) if name in GOALS else ())
        for name in INJURIES
        if name != LONG and not name.startswith("die: ")
    ],
)
async def test_one_fault_damages_nothing(stage: Stage, injury: str) -> None:
    result = await play_short(stage, injury, misbehaving_mail=mail(injury))
    expect_nothing_damaged(result)
    if injury == "replay":
        assert result.duplicates > 0
    if injury == "expire soon":
        assert result.mails_given_up > 0


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.goal("rel-R14") if kind == "courier" else ()) for kind in PLACES],
)
async def test_a_death_in_the_middle_of_a_step_damages_nothing(stage: Stage, kind: str) -> None:
    """A place that the work of one short round does not reach is tried again; in the end it was reached."""
    for _ in range(TRIES):
        result = await play_short(
            stage, f"die: {kind}", misbehaving_mail=kind == "courier", stumbling=0.3 if kind == "retry" else 0.03
        )
        expect_nothing_damaged(result)
        if {death.place for death in result.deaths} & set(PLACES[kind][2]):
            return
    pytest.fail(f"in {TRIES} rounds nothing died at {PLACES[kind][2]}")


async def test_several_faults_at_once_damage_nothing(stage: Stage) -> None:
    result = await play_short(stage, "restart postgres", "crash kafka", "die: courier", "die: consumer", "cut relay")
    expect_nothing_damaged(result)


async def test_without_a_fault_every_command_is_answered(stage: Stage) -> None:
    result = await play_short(stage)
    expect_nothing_damaged(result)
    assert {command.outcome.value for command in result.history.commands} == {"ok", "refused"}
    assert result.deaths == []
