"""History: every command that was given, and what its giver learned of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Outcome(StrEnum):
    """What the giver of a command knows."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """No answer came, or one that leaves open whether it took effect."""


class Kind(StrEnum):
    """What was commanded."""

    ENTRY = "entry"
    CODE = "code"
    REDEMPTION = "redemption"
    ACTIVATION = "activation"
    """A code exchanged for a password and a session."""
    GUESS = "guess"
    """A log-in with a password that is wrong."""
    LOG_IN = "log-in"
    """A log-in with the password that is right."""
    LOG_OUT = "log-out"
    END_OTHERS = "end others"
    """All sessions of a person ended but the one that asks."""
    EDIT = "edit"
    """A user changed by a superuser who had seen them in the state before."""
    RIGHT = "right"
    """A group of rights given or taken by a superuser."""


STARTING = (Kind.REDEMPTION, Kind.ACTIVATION, Kind.LOG_IN)
"""What starts a session when it succeeds."""


@dataclass(slots=True)
class Command:
    """`key` is a book's id, a person's address or a user's id.

    `subject` is the entry's own id, the challenge that was named, or the browser that logs out. Of an edit, `seen` is the
    version that it was made from, and `version` the one that it made. Of a right, `group` is what it is about, and `gives`
    whether it is given.
    """

    kind: Kind
    key: str
    subject: UUID | None = None
    outcome: Outcome = Outcome.UNKNOWN
    tries: int = 0
    seen: int = 0
    version: int | None = None
    group: str = ""
    gives: bool = False

    def settle(self, outcome: Outcome, subject: UUID | None = None) -> None:
        self.outcome = outcome
        self.subject = subject or self.subject


@dataclass(slots=True)
class History:
    """One round's commands, in the order in which they were given."""

    commands: list[Command] = field(default_factory=list)

    def begin(self, kind: Kind, key: str, subject: UUID | None = None) -> Command:
        """Note a command before it is given: until an answer says otherwise, nobody knows what it did."""
        command = Command(kind, key, subject)
        self.commands.append(command)
        return command

    def of(self, *kinds: Kind) -> list[Command]:
        return [command for command in self.commands if command.kind in kinds]

    def count(self, outcome: Outcome) -> int:
        return sum(command.outcome is outcome for command in self.commands)
