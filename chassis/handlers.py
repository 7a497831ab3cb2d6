"""Handlers: which function acts on which message, and the one way to call it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import Any, Protocol, TypeVar
from uuid import UUID

from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from chassis import scope, tracing
from chassis.arrival import Arrival, Broken
from chassis.postgres import Connection, Identity, set_scope
from chassis.scope import Scope
from chassis.sealing import Place
from contracts.message import TYPE, Envelope, Message
from contracts.requests import ORGANISATION

M = TypeVar("M", bound=Message)
Handler = Callable[[Connection, M, Envelope], Awaitable[None]]


class Taker(Protocol):
    """Takes every record of a topic of requests, whatever it is, and owes the answer."""

    async def receive(self, conn: Connection, arrival: Arrival) -> None: ...
    def proves(self, arrival: Arrival, identity: Identity) -> bool: ...


SECONDS = 6.0
"""Longer than a statement may take: what hangs this long hangs by itself, not in Postgres."""


class Lane(StrEnum):
    """A consumer of its own; the urgent one carries sessions, accounts, rights and codes."""

    URGENT = "urgent"
    NORMAL = "normal"


class Hung(Exception):
    """The handler did not return in its time; `arrival` is the message it was given."""

    def __init__(self, text: str, arrival: Arrival) -> None:
        super().__init__(text)
        self.arrival = arrival


class Handlers:
    """A service's handlers by message type; made in its `consumers.py`, one `on` each."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._by_type: dict[str, tuple[Lane, type[Message], Handler[Any]]] = {}
        self._takers: dict[str, Taker] = {}
        self.seconds = seconds

    def on(self, message: type[M], *, lane: Lane = Lane.NORMAL) -> Callable[[Handler[M]], Handler[M]]:
        """Register the one handler of a message; all messages of a topic share a lane, or their order would be lost."""

        def register(handler: Handler[M]) -> Handler[M]:
            self._add(message, handler, lane)
            return handler

        return register

    def take(self, message: type[Message], taker: Taker, handler: Callable[..., Any], *, lane: Lane) -> None:
        """Register a request, which `handler` acts on in the end, and who takes all records of its topic."""
        self._add(message, handler, lane)
        self._takers[message.topic.name] = taker

    def _add(self, message: type[Message], handler: Callable[..., Any], lane: Lane) -> None:
        if message.type in self._by_type:
            raise ValueError(f"{message.type} has a handler already")
        if any(m.topic == message.topic and other is not lane for other, m, _ in self._by_type.values()):
            raise ValueError(f"{message.topic.name} is read in another lane already")
        self._by_type[message.type] = (lane, message, handler)

    def registered(self) -> list[tuple[Lane, type[Message], str]]:
        """Give each message that is read here, with its lane and its handler's name, sorted by type."""
        return [(lane, message, handler.__name__) for _, (lane, message, handler) in sorted(self._by_type.items())]

    def lanes(self) -> list[Lane]:
        """Give the lanes that have something to read."""
        return sorted({lane for lane, _, _ in self._by_type.values()})

    def topics(self, lane: Lane) -> list[str]:
        """Give the topics of a lane, sorted."""
        return sorted({message.topic.name for other, message, _ in self._by_type.values() if other is lane})

    def knows(self, arrival: Arrival) -> bool:
        """Tell whether somebody acts on this message; raises `Broken` for what it cannot be.

        An unknown type is somebody else's and is passed over. A known type in an unknown version is ours and came too
        early: it is set aside until this service is upgraded. On another topic than its own a known type is broken too:
        whoever may write there may not be one who may say this. Requests are all judged, the worst of them too.
        """
        if arrival.topic in self._takers:
            return True
        if arrival.envelope is None:
            raise Broken(arrival.fault or "no envelope")
        if self._find(arrival.envelope, arrival.topic) is not None:
            return True
        match = TYPE.fullmatch(arrival.envelope.type)
        if match is None:
            raise Broken("ce_type is not <service>.<Name>.v<major>")
        stem = f"{match['service']}.{match['name']}.v"
        if any(known.startswith(stem) and known[len(stem) :].isdigit() for known in self._by_type):
            raise Broken(f"version {match['major']} of {stem[:-2]} is unknown here")
        return False

    def _find(self, envelope: Envelope, topic: str) -> tuple[type[Message], Handler[Any]] | None:
        """Find what a type is and who acts on it; raises `Broken` on another topic than its own."""
        if envelope.type not in self._by_type:
            return None
        _, message, handler = self._by_type[envelope.type]
        if message.topic.name != topic:
            raise Broken(f"{envelope.type} does not belong on this topic")
        return message, handler

    def overtakes(self, arrival: Arrival) -> bool:
        """Tell whether this message goes past a queue of its key: it carries newer whole state."""
        if arrival.envelope is None or arrival.envelope.type not in self._by_type:
            return False
        return self._by_type[arrival.envelope.type][1].overtakes

    def may_wait(self, arrival: Arrival, identity: Identity) -> bool:
        """Tell whether this message may be set aside for another's sake: not what nobody has signed, it would fill the table."""
        taker = self._takers.get(arrival.topic)
        return taker is None or taker.proves(arrival, identity)

    async def call(self, conn: Connection, arrival: Arrival) -> None:
        """Validate, open what is sealed to this service, and act, in the caller's transaction and the message's trace.

        The handler sees the rows of the organisation that the message names, or all.
        Raises `Broken`, `CannotOpen`, `Hung`, or what the handler raises.
        """
        envelope = arrival.envelope
        kind = arrival.topic if envelope is None or arrival.topic in self._takers else envelope.type
        where = {**tracing.KAFKA, "messaging.destination.name": arrival.topic}
        what = {**where, "messaging.message.id": envelope.id if envelope else ""}
        parent = envelope.traceparent if envelope else None
        with tracing.resumed(f"process {kind}", parent, what, kind=SpanKind.CONSUMER):
            await self._in_time(conn, arrival, kind)

    async def _in_time(self, conn: Connection, arrival: Arrival, kind: str) -> None:
        timeout = asyncio.timeout(self.seconds)
        try:
            async with timeout:
                await self._act(conn, arrival)
        except TimeoutError as error:
            if timeout.expired():
                raise Hung(f"the handler of {kind} took more than {self.seconds:g} s", arrival) from error
            raise
        finally:
            conn.context.cause = None

    async def _act(self, conn: Connection, arrival: Arrival) -> None:
        if (taker := self._takers.get(arrival.topic)) is not None:
            with scope.entered(scope.SYSTEM):
                await set_scope(conn, scope.SYSTEM)
                await taker.receive(conn, arrival)
            return
        envelope, identity = arrival.envelope, conn.context.identity
        found = self._find(envelope, arrival.topic) if envelope else None
        if envelope is None or identity is None or found is None:
            raise Broken(arrival.fault or "nobody acts on it")
        model, handler = found
        message = open_sealed(read(model, arrival), envelope, identity)
        conn.context.cause = envelope.id
        with scope.entered(scope_of(message)):
            await set_scope(conn, scope_of(message))
            await handler(conn, message, envelope)


def scope_of(message: Message) -> Scope:
    """Give the scope in which a message is acted on: that of the organisation it names, else the system's."""
    named: UUID | None = getattr(message, ORGANISATION, None)
    return scope.SYSTEM if named is None else scope.organisation(named)


def read(model: type[M], arrival: Arrival) -> M:
    """Validate a record's value; raises `Broken` naming the fields at fault, never their content."""
    if arrival.value is None:
        raise Broken("the value is null")
    try:
        return model.model_validate_json(arrival.value)
    except ValidationError as error:
        raise Broken(f"{model.type}: {_faults(error)}") from None


def open_sealed(message: M, envelope: Envelope, identity: Identity) -> M:
    """Open the fields that are sealed to this service; raises `CannotOpen`."""
    own = {name: sealed for name, sealed in message.seals().items() if message.readers[name] == identity.service}
    if not own:
        return message
    opened = {
        name: identity.keyring.opened(sealed, Place(envelope.id, envelope.type, name)) for name, sealed in own.items()
    }
    return message.model_copy(update=opened)


def _faults(error: ValidationError) -> str:
    faults: Iterable[str] = (
        f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['type']}"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)[:5]
    )
    return ", ".join(faults)
