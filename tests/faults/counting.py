"""Counting: what is there, held against how much was commanded, and versions against what was told of them."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from tests.faults.findings import Damage, Findings
from tests.faults.history import Command, Outcome

K = TypeVar("K", bound=Hashable)


def between(what: str, commands: Iterable[Command], counts: Counter[str], findings: Findings) -> None:
    """For each key, between the commands that were answered and those that may have taken effect."""
    outcomes = Counter((command.key, command.outcome) for command in commands)
    for key in counts.keys() | {key for key, _ in outcomes}:
        sure, unsure = outcomes[key, Outcome.OK], outcomes[key, Outcome.UNKNOWN]
        if counts[key] < sure:
            findings.note(Damage.LOST, f"{key}: {sure} {what} were acknowledged and {counts[key]} are there")
        if counts[key] > sure + unsure:
            findings.note(Damage.TWICE, f"{key}: {counts[key]} {what} of {sure + unsure} commands")


def each_once(what: str, there: Iterable[K], told: Sequence[K], findings: Findings) -> None:
    """Everything that is there is told of once, and nothing else is."""
    counts, known = Counter(told), set(there)
    for each in known - counts.keys():
        findings.note(Damage.ZOMBIE, f"{what} {each} was committed, and no event tells of it")
    for each, count in counts.items():
        if each not in known:
            findings.note(Damage.GHOST, f"an event tells of {what} {each}, which is not there")
        elif count > 1:
            findings.note(Damage.TWICE, f"{what} {each} is told of by {count} events")
