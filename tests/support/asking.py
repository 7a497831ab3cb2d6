"""Requests to `things`, signed as a system signs them, and taken as its consumer takes them; no Kafka in between."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import Field

from chassis import dead_letters, requests, signing
from chassis.arrival import Arrival
from chassis.batches import Batches
from chassis.continuity import Continuity
from chassis.errors import Kind, Refusal
from chassis.handlers import Handlers, Lane
from chassis.postgres import Connection, Database
from chassis.requests import Caller, Requests, Signed
from chassis.sealing import Keyring
from chassis.signing import Statement
from chassis.systems import System, Systems
from contracts.message import Id, Message
from contracts.privacy import Privacy, Sealed
from contracts.requests import Accepted, NotProven, Refused
from contracts.topics import Topic

THINGS_REQUESTS, THINGS_ANSWERS = Topic("things.requests.v1"), Topic("things.answers.v1")
OURS, THEIRS = UUID(int=1), UUID(int=2)
KEY, DESK_KEY = signing.new_key("member-1"), signing.new_key("desk-1", "P-256")
"""With which the systems `member` and `desk` sign."""
TAKEN = 13
"""The number that nobody may have."""


class ChangeThing(Message, topic=THINGS_REQUESTS, key="thing_id"):
    thing_id: Id
    organisation_id: Id
    n: Annotated[int, Field(ge=1), Privacy.OPEN]
    note: Annotated[Sealed[Literal["things"]], Privacy.PERSONAL]


class ForgetThing(Message, topic=THINGS_REQUESTS, key="thing_id"):
    thing_id: Id
    organisation_id: Id


class ThingRequestAccepted(Accepted, Message, topic=THINGS_ANSWERS, key="request_id"):
    """It was done."""


class ThingRequestRefused(Refused, Message, topic=THINGS_ANSWERS, key="request_id"):
    """It was not done."""


class ThingRequestNotProven(NotProven, Message, topic=THINGS_ANSWERS, key="system"):
    """Nobody knows who asked."""


ANSWERS = {each.type: each for each in (ThingRequestAccepted, ThingRequestRefused, ThingRequestNotProven)}


class ThingTaken(Refusal):
    """Somebody has the number {n}.

    Take another.
    """

    kind = Kind.CONFLICT


class ThingsBusy(Refusal):
    """Too many things are being changed."""

    kind = Kind.TOO_MANY


INSERT_EFFECT = "insert into effects (thing_id, n, event_id) values ($1, $2, $3)"


def handlers(*, broken: list[Exception] | None = None) -> Handlers:
    """Handlers that change a thing; one with a `broken` list raises what stands in it."""
    found = Handlers(seconds=20)
    asked = Requests(
        found, accepted=ThingRequestAccepted, refused=ThingRequestRefused, not_proven=ThingRequestNotProven
    )

    @asked.on(ChangeThing)
    async def change(conn: Connection, request: ChangeThing, caller: Caller) -> str:
        await conn.execute(INSERT_EFFECT, request.thing_id, request.n, f"{caller.system} {request.note.clear}")
        if request.n == TAKEN:
            raise ThingTaken(n=request.n)
        if broken:
            raise broken[0]
        return f"no. {request.n}"

    return found


@dataclass(frozen=True, slots=True)
class Asker:
    """A system outside with its private key, and what of its requests lies in the topic."""

    name: str
    key: signing.Key
    sealer: Keyring
    offset: list[int] = field(default_factory=lambda: [0])

    def sign(self, message: Message, *, request_id: UUID | None = None, time: datetime | None = None) -> Signed:
        return requests.sign(
            message, request_id or uuid4(), time or datetime.now(UTC), keyring=self.sealer, key=self.key
        )

    def change(self, n: int = 1, *, organisation: UUID = OURS, **how: Any) -> Signed:
        note: Sealed[Any] = Sealed("kari@example.no")
        return self.sign(ChangeThing(thing_id=uuid4(), organisation_id=organisation, n=n, note=note), **how)


def system(name: str, *keys: signing.Key, types: frozenset[str] = frozenset({ChangeThing.type})) -> System:
    """Configure a system with the public halves of keys."""
    public = {str(key.kid): type(key).import_key(key.as_dict(private=False)) for key in keys}
    return System(name, public, types, frozenset({OURS}))


def listening(database: Database, *systems: System, skew: float = 60) -> Database:
    """Let a service listen to systems."""
    known = Systems({each.name: each for each in systems})
    database.identity = replace(database.identity, systems=known, clock_skew=skew)
    return database


def stated(signed: Signed, value: bytes | None = None, **facts: str) -> dict[str, str]:
    """Sign by the right key of `member`, but state other things."""
    headers = signed.headers
    right = {"message": headers["ce_id"], "type": headers["ce_type"], "audience": "things", "time": headers["ce_time"]}
    token = signing.sign(Statement(requests.USE, right | facts), signed.value if value is None else value, KEY)
    return {"ce_signature": token}


def arrival(signed: Signed, *, offset: int = 0, partition: int = 0, **headers: bytes | None) -> Arrival:
    """Give the record as it lies in Kafka; `headers` replace (or with None remove) single ones."""
    raw: dict[str, bytes | None] = {name: text.encode() for name, text in signed.headers.items()}
    raw |= headers
    return Arrival.of(_Record(signed, offset, partition, [(n, v) for n, v in raw.items() if v is not None]))


@dataclass(frozen=True, slots=True)
class _Record:
    signed: Signed
    offset: int
    partition: int
    headers: list[tuple[str, bytes]]

    @property
    def topic(self) -> str:
        return self.signed.topic

    @property
    def key(self) -> bytes:
        return self.signed.key.encode()

    @property
    def value(self) -> bytes:
        return self.signed.value


async def take(database: Database, *arrivals: Arrival, found: Handlers | None = None) -> None:
    """Take records as one batch, in one transaction."""
    batches = Batches(database, found or handlers(), Lane.NORMAL, reached={}, continuity=Continuity(lambda _: None))
    async with database.transaction() as conn:
        await batches.apply(conn, arrivals)


async def set_aside(database: Database, came: Arrival) -> None:
    """Set a record aside as its consumer does when a handler has a fault."""
    async with database.transaction() as conn:
        await dead_letters.set_aside(conn, "normal", came, RuntimeError("a bug"))


async def answers(database: Database) -> list[Any]:
    """Give the answers that are owed, in order."""
    async with database.transaction() as conn:
        rows = await conn.fetch("select type, payload from outbox where topic = $1 order by id", THINGS_ANSWERS.name)
    return [ANSWERS[row["type"]].model_validate_json(row["payload"]) for row in rows]


async def effects(database: Database) -> list[int]:
    async with database.transaction() as conn:
        return [row["n"] for row in await conn.fetch("select n from effects order by id")]


def with_value(signed: Signed, value: bytes) -> Signed:
    return replace(signed, value=value)


def with_headers(signed: Signed, changes: Mapping[str, str]) -> Signed:
    return replace(signed, headers={**signed.headers, **changes})
