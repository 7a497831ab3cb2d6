"""A mutant is caught by what was expected, and by nothing else."""

from pathlib import Path

import pytest

from deploy.local.folders import CHECKOUT
from tests.faults.findings import Damage
from tests.faults.report import Sum
from tests.mutants.verdict import MAILS_EXPIRED, Fate, Seen, Verdict, of_round, of_tests, read

PLUGIN = ("-p", "tests.mutants.witness", "-p", "no:cacheprovider")


def report(**damages: int) -> str:
    total = Sum()
    for name, count in damages.items():
        total.damages[Damage[name.upper()]] = count
    return "\n".join(["seed 1: 300 commands", *total.lines(), ""])


def test_a_clean_round_lets_a_mutant_survive() -> None:
    assert of_round(report(), {"lost"}) == Verdict(Fate.SURVIVED, "nothing damaged")


def test_a_round_catches_by_the_damage_that_was_expected() -> None:
    assert of_round(report(twice=3, lost=1), {"twice"}) == Verdict(Fate.CAUGHT, "lost 1, twice 3")
    assert of_round(report(mail_expired=2), {MAILS_EXPIRED}).fate is Fate.CAUGHT


def test_another_damage_is_no_catch() -> None:
    assert of_round(report(twice=3), {"lost"}) == Verdict(Fate.BROKEN, "damaged otherwise: twice 3")


@pytest.mark.parametrize("output", ["", "Traceback (most recent call last):\nImportError: x"])
def test_a_round_that_did_not_end_is_no_catch(output: str) -> None:
    assert of_round(output, {"lost"}).fate is Fate.BROKEN


def test_a_process_that_fell_is_no_catch() -> None:
    total = Sum(fallen=1)
    assert of_round("\n".join(total.lines()), {"lost"}).fate is Fate.BROKEN


@pytest.mark.parametrize(
    ("ends", "fate"),
    [
        ([], Fate.BROKEN),
        (["passed", "passed"], Fate.SURVIVED),
        (["passed", "assertion"], Fate.CAUGHT),
        (["passed", "crash"], Fate.BROKEN),
        (["crash", "assertion"], Fate.CAUGHT),
    ],
)
def test_tests_catch_by_an_assertion(ends: list[str], fate: Fate) -> None:
    assert of_tests([Seen(f"tests/test_x.py::test_{n}", end) for n, end in enumerate(ends)]).fate is fate


def test_a_run_that_left_no_report_is_no_catch() -> None:
    assert of_tests(None).fate is Fate.BROKEN


HELPER = """
async def works(): assert False
"""
ENDS = """
import asyncio
import pytest
import helper
from tests.support.waiting import until

def test_passes(): pass
def test_asserts(): assert 1 == 2
def test_wants_a_failure():
    with pytest.raises(ValueError):
        pass
def test_crashes(): raise TypeError("secret")
def test_finds_an_assert_elsewhere(): asyncio.run(helper.works())
def test_waits_in_vain():
    async def nothing(): return None
    asyncio.run(until(nothing, what="it", seconds=0))
def test_hangs(): pytest.fail("Timeout >60.0s")
@pytest.fixture
def broken(): assert False
def test_has_no_ground(broken): pass
"""


def test_the_witness_tells_a_tests_own_word_from_any_other_failure(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    pytester.makepyfile(ENDS)
    pytester.makepyfile(helper=HELPER)
    left = tmp_path / "seen.json"
    pytester.runpytest_subprocess(*PLUGIN, f"--witness={left}")
    seen = {each.test.rpartition("::")[2].removeprefix("test_"): each.end for each in read(left) or ()}
    assert seen == {
        "passes": "passed",
        "asserts": "assertion",
        "wants_a_failure": "assertion",
        "crashes": "crash",
        "finds_an_assert_elsewhere": "crash",
        "waits_in_vain": "crash",
        "hangs": "crash",
        "has_no_ground": "crash",
    }
