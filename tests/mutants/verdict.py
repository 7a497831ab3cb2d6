"""Verdict: what became of a mutant, read from what its catcher left behind."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CLOSING = re.compile(r"commands \d+, seeds \d+, .*")
EXPIRED = re.compile(r"mails with an expired code: (\d+)")
FALLEN = re.compile(r"processes fallen by themselves: (\d+)")
MAILS_EXPIRED = "mails expired"


class Fate(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    STALE = "stale"
    """It no longer applies to the code."""
    BROKEN = "broken"
    """Something failed, but not what was to fail: nothing is known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    fate: Fate
    why: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How one test ended: `passed`, in an `assertion` of its own, or in a `crash`."""

    test: str
    end: str
    said: str = ""


def read(path: Path) -> list[Seen] | None:
    """Read what the witness left; None when it left nothing."""
    return [Seen(**seen) for seen in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else None


def damages_in(output: str) -> Mapping[str, int] | None:
    """Read the counts of damage from what the fault suite printed; None when it did not come to its closing line."""
    lines = output.splitlines()
    closing = next((line for line in reversed(lines) if CLOSING.fullmatch(line)), None)
    if closing is None:
        return None
    counts = {name: int(count) for name, _, count in (part.rpartition(" ") for part in closing.split(", "))}
    counts |= {MAILS_EXPIRED: _count(EXPIRED, output), "fallen": _count(FALLEN, output)}
    return {name: count for name, count in counts.items() if name not in {"commands", "seeds"}}


def _count(pattern: re.Pattern[str], output: str) -> int:
    found = pattern.search(output)
    return int(found[1]) if found else 0


def of_round(output: str, expected: Collection[str]) -> Verdict:
    """Judge rounds of the fault suite."""
    damages = damages_in(output)
    if damages is None:
        return Verdict(Fate.BROKEN, "the fault suite did not come to its end")
    found = {name: count for name, count in damages.items() if count}
    said = ", ".join(f"{name} {count}" for name, count in found.items())
    if found.keys() & set(expected):
        return Verdict(Fate.CAUGHT, said)
    return Verdict(Fate.BROKEN, f"damaged otherwise: {said}") if found else Verdict(Fate.SURVIVED, "nothing damaged")


def of_tests(seen: Sequence[Seen] | None) -> Verdict:
    """Judge a run of tests; None when pytest left no report."""
    if not seen:
        return Verdict(Fate.BROKEN, "no test was run")
    if asserted := [test.test for test in seen if test.end == "assertion"]:
        first, *others = sorted({test.rpartition("::")[2].partition("[")[0] for test in asserted})
        return Verdict(Fate.CAUGHT, f"{first} and {len(others)} more" if others else first)
    if crashed := [test for test in seen if test.end == "crash"]:
        return Verdict(Fate.BROKEN, f"{crashed[0].test} failed without an assertion of its own: {crashed[0].said}")
    return Verdict(Fate.SURVIVED, f"{len(seen)} tests passed")
