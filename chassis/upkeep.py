"""Upkeep: what the operators' commands of the chassis must know of a service, as its composition root declares it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chassis.ghosts import Ghost
from chassis.postgres import Connection

Republish = Callable[[Connection, str | None, int], Awaitable[Sequence[str]]]
"""Owes the state of the next so many things behind an id, locked; gives their ids in order, none at the end."""


class Verdict(StrEnum):
    """What came of a check."""

    OK = "ok"
    WRONG = "wrong"
    COULD_NOT_LOOK = "could_not_look"
    NOT_LOOKED_AT = "not_looked_at"
    """The settings leave it out; nothing is wrong with that."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and where that is not well what to do about it."""

    check: str
    verdict: Verdict
    found: str
    do: str = ""


Look = Callable[[], Awaitable[Finding]]
"""A check: looks and says what it found; raises `CannotLook` where it cannot."""


async def _nothing(_: Connection) -> Mapping[str, int]:
    return {}


async def _leave(_: Connection, __: Ghost) -> str | None:
    return None


def _no_checks(_: Any) -> Sequence[Look]:
    return ()


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A service that others keep no copies of, that nothing survives a restore of, and that needs no more than it is."""

    republish: Mapping[str, Republish] = field(default_factory=dict)
    """By the name of what is told of."""
    restored: Callable[[Connection], Awaitable[Mapping[str, int]]] = _nothing
    """Ends what may not come alive again with an old state, in the transaction that raises the epoch; gives counts."""
    settle: Callable[[Connection, Ghost], Awaitable[str | None]] = _leave
    """Brings the database in line with a ghost and says with what, None for nothing; twice has no second effect."""
    checks: Callable[[Any], Sequence[Look]] = _no_checks
    """What `doctor` looks at besides, from the settings."""
