"""Schedules: the seed alone decides, and nothing is left out."""

from tests.faults.injuries import INJURIES
from tests.faults.schedule import SHARES, plan


def test_the_same_seed_gives_the_same_plan_and_another_seed_another_one() -> None:
    assert plan(7, 40) == plan(7, 40)
    assert plan(7, 40) != plan(8, 40)


def test_a_full_round_holds_every_injury_as_often_as_it_should() -> None:
    planned = [each.injury for each in plan(1, 40)]
    assert {injury: planned.count(injury) for injury in planned} == dict(SHARES)
    assert dict(SHARES).keys() == INJURIES.keys()


def test_some_injuries_come_at_the_same_moment_and_none_before_the_work_has_begun() -> None:
    moments = [each.at for each in plan(1, 40)]
    assert len(set(moments)) < len(moments)
    assert min(moments) >= 4
    assert max(moments) <= 40
    assert moments == sorted(moments)


def test_named_injuries_come_once_each() -> None:
    assert sorted(each.injury for each in plan(1, 10, ["replay", "rewind"])) == ["replay", "rewind"]
