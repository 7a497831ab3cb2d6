"""Plan: how long and how often everything is measured."""

from collections.abc import Callable
from dataclasses import dataclass

RATES = (200, 1_000)
"""Events a second that are offered, besides flat out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does; `quick` shows that everything works, and its figures say little."""

    repeats: int
    seconds: float
    clients: int
    backlog: int
    held_seconds: float
    people: int
    """Who ask for codes and log in."""
    slow_mails: int
    fsync: bool
    tell: Callable[[str], None]


def full(*, repeats: int, clients: int, fsync: bool, tell: Callable[[str], None]) -> Plan:
    return Plan(repeats, 6, clients, 50_000, 20, 1_000, 400, fsync, tell)


def quick(*, clients: int, fsync: bool, tell: Callable[[str], None]) -> Plan:
    return Plan(1, 1.5, clients, 5_000, 5, 100, 60, fsync, tell)
