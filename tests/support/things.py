"""Things: messages of a service that does not exist, on a declared topic, for tests of the chassis."""

from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from contracts.message import Id, Message
from contracts.privacy import Privacy, Sealed
from contracts.topics import ACCOUNTS, CODES

ToThings = Literal["things"]


class ThingHappened(Message, topic=ACCOUNTS, key="thing_id"):
    thing_id: Id
    n: Annotated[int, Privacy.OPEN]
    note: Annotated[str, Privacy.OPEN] = ""


class ThingReplaced(Message, topic=ACCOUNTS, key="thing_id", overtakes=True):
    thing_id: Id
    n: Annotated[int, Privacy.OPEN]


class ThingWhispered(Message, topic=CODES, key="thing_id"):
    thing_id: Id
    secret: Annotated[Sealed[ToThings], Privacy.SECRET]


def happened(n: int, thing: UUID | None = None, note: str = "") -> ThingHappened:
    return ThingHappened(thing_id=thing or uuid4(), n=n, note=note)


def whispered(text: str, thing: UUID | None = None) -> ThingWhispered:
    sealed: Sealed[Any] = Sealed(text)
    return ThingWhispered(thing_id=thing or uuid4(), secret=sealed)
