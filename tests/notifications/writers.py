"""Auth, played by its own outbox: what it writes is sealed, and reaches the handlers as the consumer would bring it."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis import outbox
from chassis.arrival import Arrival
from chassis.postgres import Database
from contracts.auth import AccountChanged, OtpRequested, OtpRequestedV2, Purpose
from contracts.message import Envelope, Message
from contracts.privacy import Sealed
from services.notifications.consumers import HANDLERS

KARI = "kari.nordmann@example.no"
CODE = "482913"


@dataclass(frozen=True, slots=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class Auth:
    """The writer of what notifications reads."""

    def __init__(self, database: Database, notifications: Database) -> None:
        self._database = database
        self._notifications = notifications

    async def write(self, message: Message) -> Arrival:
        """Seal and owe a message as auth does, and give it as it would come out of Kafka."""
        async with self._database.transaction() as conn:
            await outbox.add(conn, message)
            (owed,) = await outbox.cycle(conn, [], archive=False, held_keys=[], held_topics=[], limit=2)
            await outbox.cycle(conn, [owed.id], archive=False, held_keys=[], held_topics=[], limit=1)
        return Arrival.of(Record(owed.topic, 0, owed.id, owed.key.encode(), owed.payload, owed.kafka_headers()))

    async def hand_in(self, arrival: Arrival) -> None:
        """Call the handler in a transaction of its own, as the consumer does."""
        async with self._notifications.transaction() as conn:
            await HANDLERS.call(conn, arrival)

    async def tell(self, message: Message) -> UUID:
        """Write and hand in; gives the message's id."""
        arrival = await self.write(message)
        await self.hand_in(arrival)
        return UUID(envelope_of(arrival).id)


def account(
    account_id: UUID,
    address: str = KARI,
    *,
    language: str = "nb",
    epoch: int = 1,
    version: int = 1,
    active: bool = True,
) -> AccountChanged:
    return AccountChanged(
        account_id=account_id,
        epoch=epoch,
        version=version,
        active=active,
        address=Sealed(address),
        language=Sealed(language),
    )


def code(
    account_id: UUID,
    text: str = CODE,
    *,
    epoch: int = 1,
    version: int = 1,
    lasts: timedelta = timedelta(minutes=10),
) -> OtpRequested:
    now = datetime.now(UTC)
    return OtpRequested(
        challenge_id=account_id,
        account_id=account_id,
        account_epoch=epoch,
        account_version=version,
        purpose=Purpose.LOGIN,
        reference="K7M4",
        code=Sealed(text),
        issued_at=now,
        expires_at=now + lasts,
    )


def other_code(account_id: UUID, purpose: str, text: str = CODE) -> OtpRequestedV2:
    """Give a code for something else than to log in."""
    known = code(account_id, text)
    fields = {name: getattr(known, name) for name in OtpRequested.model_fields}
    return OtpRequestedV2(**fields | {"purpose": purpose})


def envelope_of(arrival: Arrival) -> Envelope:
    assert arrival.envelope is not None
    return arrival.envelope


def field_of(arrival: Arrival, name: str) -> str:
    assert arrival.value is not None
    return str(json.loads(arrival.value)[name])


def with_field(arrival: Arrival, name: str, value: str) -> Arrival:
    """Give the same record with one field of its value exchanged."""
    assert arrival.value is not None
    return dataclasses.replace(arrival, value=json.dumps(json.loads(arrival.value) | {name: value}).encode())
