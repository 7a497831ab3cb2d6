"""Observed: what took effect in one round, as tables, topics and mailbox show it when all is quiet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

NOTED_WITHIN = timedelta(seconds=2)
"""The answer to a final dot is committed by then, if its courier lives."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger."""

    book_id: UUID
    version: int
    entry_id: UUID


@dataclass(frozen=True, slots=True)
class Effect:
    """What an event did at the mirror."""

    book_id: UUID
    version: int
    entry_id: UUID
    event_id: str


@dataclass(frozen=True, slots=True)
class Owed:
    """A row of an outbox or of its archive; `said` is what it tells, where the archive keeps that."""

    message_id: str
    type: str
    key: str
    said: Mapping[str, object] = field(default_factory=dict)

    @property
    def entry_id(self) -> UUID | None:
        """Name the entry that it tells of, where it tells of one."""
        named = self.said.get("entry_id")
        return None if named is None else UUID(str(named))


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a message was on its way: from its commit at the writer to its mark in the reader's inbox."""

    message_id: str
    owed_at: datetime
    published_at: datetime
    handled_at: datetime

    @property
    def seconds(self) -> float:
        return (self.handled_at - self.owed_at).total_seconds()

    @property
    def seconds_owed(self) -> float:
        return (self.published_at - self.owed_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Record:
    """A record on the bus."""

    topic: str
    message_id: str
    type: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """A code that was asked for; `issued` when a code was made for it."""

    id: UUID
    address: str
    settled: bool
    issued: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account, with what ended all its sessions: that raises the security epoch from 1 on."""

    id: UUID
    address: str
    version: int
    security_epoch: int
    password_set: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A session; `ended_at` is None while it goes on."""

    id: UUID
    account_id: UUID
    address: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Wrong passwords in a row, of an account in some browser or in all that it does not know."""

    account_id: UUID
    failures: int
    blocked: bool
    told: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """What somebody may do for an organisation."""

    id: UUID
    account_id: UUID
    version: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What is so at its owner now, and which fact tells of it."""

    type: str
    key: UUID
    version: int
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact as it came to a reader."""

    type: str
    key: UUID
    version: int
    event_id: str


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail that notifications owes; `outcome` is None until it is settled. `wanted_by` is the event's id."""

    id: UUID
    wanted_by: str
    outcome: str | None
    expires_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Copy:
    """A mail as the mail server took it. `followed` says whether its connection brought anything after the final dot."""

    mail_id: UUID | None
    to: str
    received_at: datetime
    followed: bool = True
    ended_at: datetime | None = None
    """When its connection ended."""
    dropped: bool = False
    """The server cut the connection after the final dot, though it had kept the mail."""

    def excuses(self, next_copy: "Copy") -> bool:
        """Tell whether the connection ended before the answer can have been noted, and the mail came again only then.

        Another mail may follow on the connection while the answer is being noted, which takes moments.
        """
        if self.ended_at is None or self.ended_at > next_copy.received_at:
            return False
        return not self.followed or self.ended_at - self.received_at <= NOTED_WITHIN


@dataclass(slots=True)
class Observed:
    """All of it. `effects` are in the order in which they happened; `owed` holds the archive and what still waits."""

    entries: list[Entry] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    totals: dict[UUID, int] = field(default_factory=dict)
    owed: list[Owed] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    """Of the ledger's messages that the mirror handled or set aside."""
    records: list[Record] = field(default_factory=list)
    known_ids: set[str] = field(default_factory=set)
    """Of the records' ids, those that some outbox or archive has."""
    waiting: set[str] = field(default_factory=set)
    """Ids of messages that still stand in an outbox or among the dead letters."""
    challenges: list[Challenge] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    """Facts of these accounts and memberships, in the order in which they came to the mirror."""
    standing: dict[tuple[str, UUID], tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    """What the mirror keeps, by type and key: version and groups."""
    mails: list[MailRow] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    bouncing: set[str] = field(default_factory=set)
    """Addresses that the mail server refuses for good."""
    courier_deaths: list[datetime] = field(default_factory=list)
    """When processes that send mails were killed."""

    @property
    def states(self) -> list[State]:
        """Give all that facts tell of with their whole state."""
        accounts = [State("auth.AccountChanged.v1", each.id, each.version) for each in self.accounts]
        rights = [State("auth.RightsChanged.v1", each.id, each.version, each.groups) for each in self.memberships]
        return accounts + rights

    def told(self, kind: str) -> list[Owed]:
        """Give the events of one type, each once."""
        return list({owed.message_id: owed for owed in self.owed if owed.type == kind}.values())

    @property
    def duplicates(self) -> int:
        """How many records came that had come before."""
        return len(self.records) - len({record.message_id for record in self.records})
