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


@dataclass(slots=True)
class Command:
    """`key` is a book's id or a person's address; `subject` is the entry's own id, or the challenge that was named."""

    kind: Kind
    key: str
    subject: UUID | None = None
    outcome: Outcome = Outcome.UNKNOWN
    tries: int = 0

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

    def of(self, kind: Kind) -> list[Command]:
        return [command for command in self.commands if command.kind is kind]

    def count(self, outcome: Outcome) -> int:
        return sum(command.outcome is outcome for command in self.commands)
