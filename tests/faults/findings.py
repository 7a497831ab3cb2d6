"""Findings: the classes of what can go wrong, and what a round is found guilty of."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum


class Damage(StrEnum):
    """The classes of what can go wrong."""

    LOST = "lost"
    """A change that was acknowledged, or that stands in the database, lacks an effect."""
    TWICE = "twice"
    """One command or event had its effect more than once."""
    GAP = "gap"
    """An effect came before an earlier one of its key."""
    INVERSION = "inversion"
    """An effect came after a later one of its key."""
    GHOST = "ghost"
    """Something is known of a change that was never committed, or took effect though it was to be refused."""
    ZOMBIE = "zombie"
    """A committed change that nobody was told of."""
    STUCK = "stuck"
    """It is not lost, but it does not go on either."""
    MAIL_LOST = "mail lost"
    MAIL_TWICE = "mail twice"
    """Two copies, though neither a death between the final dot and its answer nor a cut connection explains them."""
    MAIL_EXPIRED = "mail expired"
    """A code was mailed that no longer counted."""


@dataclass(slots=True)
class Findings:
    """What a round is found guilty of: sentences with ids, by class."""

    damages: dict[Damage, list[str]] = field(default_factory=lambda: defaultdict(list))
    mails_doubled_by_a_death: int = 0
    mails_doubled_by_the_server: int = 0

    def note(self, damage: Damage, what: str) -> None:
        self.damages[damage].append(what)

    def count(self, *damages: Damage) -> int:
        return sum(len(self.damages.get(damage, ())) for damage in damages)

    @property
    def clean(self) -> bool:
        return not any(self.damages.values())

    def lines(self) -> list[str]:
        """Say each finding in a line."""
        return [f"{damage}: {what}" for damage, found in self.damages.items() for what in found]
