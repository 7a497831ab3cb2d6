"""Requests: act once on what a system outside asks for, signed by it, and answer the same to the same request.

What no signature proves can do nothing but be told of, some times a minute: by where its record lies, never by the id that
it says it has, so that nobody can answer, use up or hold up another's request. A request's own rows (the answer, and what
the service did) are written in the transaction that claims its record in the inbox.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError

from chassis import outbox, problems, scope, signing, telemetry
from chassis.arrival import Arrival, Broken
from chassis.errors import Kind, Refusal
from chassis.handlers import Handlers, Lane, open_sealed, read, scope_of
from chassis.postgres import Connection, Identity, set_scope
from chassis.sealing import CannotOpen, Keyring
from chassis.signing import Key, Moment, NotProven, Statement
from chassis.systems import System
from contracts.message import Envelope, Headers, Message, time_header
from contracts.requests import ORGANISATION, SIGNATURE, SOURCE, Declined, Unproven

log = structlog.get_logger()

M = TypeVar("M", bound=Message)
LARGEST = 65_536
"""Bytes of a request's value; what is larger is uploaded first and referred to."""
TOLD_A_MINUTE = 30
"""How often a minute each process tells of what a system has not signed: whoever may write to the topic must not fill another."""
PASSING = frozenset({Kind.TOO_MANY, Kind.UNAVAILABLE})
"""Refusals that say nothing about the request: the same one is judged anew."""
USE = "samband-request"
_UNPROVEN = {
    Unproven.UNREADABLE_REQUEST: "The CloudEvents headers are not complete and right; ce_id must be a UUID.",
    Unproven.NO_SIGNATURE: f"The header {SIGNATURE} is missing, or there are several.",
    Unproven.UNREADABLE_SIGNATURE: "The signature is no detached JWS by Ed25519 or ES256.",
    Unproven.UNKNOWN_KEY: "The signature's kid is none of this system's keys.",
    Unproven.WRONG_SIGNATURE: "The signature is not that of this value by this key.",
    Unproven.OTHER_REQUEST: "The id, type, audience, time, subject or key is another than signature and value say.",
}
_DECLINED = {
    Declined.STALE: "The request is more than a day old. Send it again with a new time.",
    Declined.FROM_THE_FUTURE: "The request's time lies ahead. Set the clock right and send it again.",
    Declined.TYPE_NOT_ALLOWED: "This system may not send requests of this type.",
    Declined.ORGANISATION_NOT_ALLOWED: "This system may not act for this organisation.",
    Declined.UNKNOWN_TYPE: "This service knows no request of this type.",
    Declined.TOO_LARGE: f"The value has more than {LARGEST} bytes. Upload a file and refer to it.",
}
_TIME: TypeAdapter[datetime] = TypeAdapter(Moment)

Given = UUID | str | None
"""What the handler of a request gives: the number or id for the answer."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a system that has proven it, and the id of its request."""

    system: str
    request_id: UUID
    organisation_id: UUID | None


Handler = Callable[[Connection, M, Caller], Awaitable[Given]]


@dataclass(frozen=True, slots=True)
class Signed:
    """A record of a request, as it goes into Kafka."""

    topic: str
    key: str
    headers: Mapping[str, str]
    value: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that is proven: the id means something only together with its system."""

    system: str
    request_id: UUID
    request_type: str
    value_sha256: str


class _Decline(Exception):
    """A request of a known system is refused, and may be sent again when that is mended or over."""

    def __init__(self, reason: Declined, text: str = "", code: str | None = None) -> None:
        super().__init__(str(reason))
        self.reason, self.code = reason, code
        self.text = text or _DECLINED[reason]


class Requests:
    """The requests that a service takes; made in its `consumers.py`, one `on` each, with its answers of `contracts`."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        accepted: type[Message],
        refused: type[Message],
        not_proven: type[Message],
        lane: Lane = Lane.NORMAL,
    ) -> None:
        self._handlers = handlers
        self._lane = lane
        self._accepted, self._refused, self._not_proven = accepted, refused, not_proven
        self._by_type: dict[str, tuple[type[Message], Handler[Any]]] = {}
        self._told: defaultdict[str, deque[tuple[float, tuple[str, int, int]]]] = defaultdict(
            lambda: deque(maxlen=TOLD_A_MINUTE)
        )

    def on(self, message: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """Register the one handler of a request: it gives what the answer names, or raises a `Refusal`.

        Both are final, but for the kinds in `PASSING`. It runs in a savepoint, so that nothing is left of what it refused.
        Raises `ValueError` for a message that does not say by `organisation_id` whom it is for, or whose topic is not one of
        requests.
        """
        if not message.topic.takes_requests or ORGANISATION not in message.model_fields:
            raise ValueError(f"{message.type} must be on a topic of requests and have the field {ORGANISATION}")

        def register(handler: Handler[M]) -> Handler[M]:
            self._handlers.take(message, self, handler, lane=self._lane)
            self._by_type[message.type] = (message, handler)
            return handler

        return register

    async def receive(self, conn: Connection, arrival: Arrival) -> None:
        """Judge a record of the topic of requests, act on it, and owe the answer, in the caller's transaction.

        Raises what a handler raises that is no refusal, and outages.
        """
        identity = conn.context.identity
        assert identity is not None  # noqa: S101 -- every transaction of Database has one.
        where = {"topic": arrival.topic, "partition": arrival.partition, "offset": arrival.offset}
        said = arrival.envelope.source if arrival.envelope else _text(arrival, "ce_source")
        system = identity.systems.of_source(said)
        try:
            envelope, request_id = prove(arrival, system, identity.service)
            self._compare(arrival, envelope)
        except NotProven as error:
            known = system.name if system else None
            telemetry.REQUESTS.labels(system=known or "unknown", outcome=str(error.reason)).inc()
            log.warning("request_not_proven", system=known, reason=str(error.reason), **where)
            if system is not None and self._may_tell(system, arrival):
                await self._tell_not_proven(conn, arrival, system, error.reason)
            return
        assert system is not None  # noqa: S101 -- it has proven itself.
        conn.context.cause = envelope.id
        value_sha256 = hashlib.sha256(arrival.value or b"").hexdigest()
        claim = Claim(system.name, request_id, envelope.type, value_sha256)
        outcome = await self._judge(conn, arrival, envelope, claim, system)
        telemetry.REQUESTS.labels(system=system.name, outcome=outcome).inc()
        log.info("request_answered", system=system.name, request_id=str(request_id), outcome=outcome, **where)

    def proves(self, arrival: Arrival, identity: Identity) -> bool:
        """Tell whether a record is signed by its system."""
        said = arrival.envelope.source if arrival.envelope else ""
        try:
            envelope, _ = prove(arrival, identity.systems.of_source(said), identity.service)
            self._compare(arrival, envelope)
        except NotProven:
            return False
        return True

    def _compare(self, arrival: Arrival, envelope: Envelope) -> None:
        """See that key and subject, which nobody signs, are those of the value, which is signed; raises `NotProven`.

        Else anybody could have another's request refused, by a copy under another key. What cannot be read is refused
        whatever its key.
        """
        found = self._by_type.get(envelope.type)
        if found is None or len(arrival.value or b"") > LARGEST:
            return
        with suppress(Broken):
            key = read(found[0], arrival).key
            if (arrival.key, envelope.subject) != (key.encode(), key):
                raise NotProven(Unproven.OTHER_REQUEST)

    async def _judge(self, conn: Connection, arrival: Arrival, envelope: Envelope, claim: Claim, system: System) -> str:
        """Answer a request that is proven; gives what came of it, in a word."""
        try:
            message, handler, caller = self._admit(conn, arrival, envelope, claim, system)
            scope.enter(scope_of(message))
            await set_scope(conn, scope_of(message))  # Before the savepoint, whose end would take it back.
            async with conn.transaction():  # What is declined here is claimed no more.
                answer = await claim_request(conn, claim, envelope.time, arrival.came_at)
                if answer is not None:
                    await self._repeat(conn, answer)
                    return "repeated"
                decided, outcome = await self._decide(conn, handler, message, caller, claim)
                await settle_request(conn, claim, await outbox.add(conn, decided), decided)
                return outcome
        except _Decline as declined:
            answer = await find_answer(conn, claim)
            if answer is not None:
                await self._repeat(conn, answer)
                return "repeated"
            await outbox.add(conn, self._decline(claim, declined.reason, declined.text, declined.code))
            return str(declined.reason)

    def _admit(
        self, conn: Connection, arrival: Arrival, envelope: Envelope, claim: Claim, system: System
    ) -> tuple[Message, Handler[Any], Caller]:
        """Give the request, opened, its handler and who asks; raises `_Decline` for one that may not be asked or read."""
        if not system.may_ask(claim.request_type):
            raise _Decline(Declined.TYPE_NOT_ALLOWED)
        if claim.request_type not in self._by_type:
            raise _Decline(Declined.UNKNOWN_TYPE)
        if len(arrival.value or b"") > LARGEST:
            raise _Decline(Declined.TOO_LARGE)
        model, handler = self._by_type[claim.request_type]
        try:
            message = read(model, arrival)
        except Broken as error:
            raise _Decline(Declined.MALFORMED, f"{error}.") from None
        organisation: UUID | None = getattr(message, ORGANISATION)
        if not system.may_act_for(organisation):
            raise _Decline(Declined.ORGANISATION_NOT_ALLOWED)
        assert conn.context.identity is not None  # noqa: S101 -- every transaction of Database has one.
        try:
            opened = open_sealed(message, envelope, conn.context.identity)
        except CannotOpen as error:
            raise _Decline(Declined.MALFORMED, f"{error}.") from None
        return opened, handler, Caller(claim.system, claim.request_id, organisation)

    async def _decide(
        self, conn: Connection, handler: Handler[Any], message: Message, caller: Caller, claim: Claim
    ) -> tuple[Message, str]:
        try:
            async with conn.transaction():
                given = await handler(conn, message, caller)
        except Refusal as refusal:
            text, code = problems.say(refusal), problems.type_of(type(refusal))
            if refusal.kind in PASSING:
                raise _Decline(Declined.NOT_NOW, text, code) from None
            return self._decline(claim, Declined.BY_RULE, text, code), "by_rule"
        return self._accepted(**asdict(claim), given=None if given is None else str(given)), "accepted"

    def _decline(self, claim: Claim, reason: Declined, text: str, code: str | None = None) -> Message:
        named = code or f"urn:samband:request:{reason.replace('_', '-')}"
        return self._refused(**asdict(claim), reason=reason, code=named, text=text)

    async def _repeat(self, conn: Connection, answer: "Answer") -> None:
        shape = self._accepted if answer.type == self._accepted.type else self._refused
        await outbox.add(conn, shape.model_validate_json(answer.value), message_id=answer.id)

    def _may_tell(self, system: System, arrival: Arrival) -> bool:
        """Tell whether there is room for it; a record that comes again, because its batch was rolled back, has its own."""
        told, now = self._told[system.name], monotonic()
        place = (arrival.topic, arrival.partition, arrival.offset)
        if any(place == other for _, other in told):
            return True
        if len(told) == TOLD_A_MINUTE and now - told[0][0] < 60:  # noqa: PLR2004 -- a minute.
            return False
        told.append((now, place))
        return True

    async def _tell_not_proven(self, conn: Connection, arrival: Arrival, system: System, reason: Unproven) -> None:
        try:
            said: UUID | None = UUID(arrival.envelope.id if arrival.envelope else _text(arrival, "ce_id"))
        except ValueError:
            said = None
        place: dict[str, Any] = {"partition": arrival.partition, "offset": arrival.offset}
        told = self._not_proven(system=system.name, request_id=said, reason=reason, text=_UNPROVEN[reason], **place)
        await outbox.add(conn, told)


def prove(arrival: Arrival, system: System | None, audience: str) -> tuple[Envelope, UUID]:
    """Give the envelope of a record that the system has signed as it lies there, and its id; raises `NotProven`."""
    signatures = [value for name, value in arrival.headers if name == SIGNATURE]
    if arrival.envelope is None:
        raise NotProven(Unproven.UNREADABLE_REQUEST)
    if len(signatures) != 1:
        raise NotProven(Unproven.NO_SIGNATURE)
    keys = system.keys if system else {}
    stated = signing.verify(signatures[0].decode("ascii", "replace"), arrival.value or b"", keys)
    envelope = arrival.envelope
    try:
        time, request_id = _TIME.validate_python(stated.facts.get("time")), UUID(envelope.id)
    except (ValidationError, ValueError):
        raise NotProven(Unproven.UNREADABLE_REQUEST) from None
    if stated != statement(envelope.id, envelope.type, audience, stated.facts["time"]) or time != envelope.time:
        raise NotProven(Unproven.OTHER_REQUEST)
    return envelope, request_id


def statement(request_id: str, kind: str, audience: str, time: str) -> Statement:
    """Say what the signature of a request covers besides its value."""
    return Statement(USE, {"message": request_id, "type": kind, "audience": audience, "time": time})


def sign(message: Message, request_id: UUID, time: datetime, *, keyring: Keyring, key: Key) -> Signed:
    """Write a request as its sender does; the keyring is the system's, with the public keys of those it seals to."""
    value = outbox.encode(message, str(request_id), keyring)
    at = time_header(time)
    stated = statement(str(request_id), message.type, message.topic.owner, at)
    headers = Headers(request_id, keyring.service, message.type, message.key).as_dict() | {
        "ce_source": SOURCE + keyring.service,
        "ce_time": at,
        SIGNATURE: signing.sign(stated, value, key),
    }
    return Signed(message.topic.name, message.key, headers, value)


def _text(arrival: Arrival, header: str) -> str:
    return next((value.decode("utf-8", "replace") for name, value in arrival.headers if name == header), "")


# Only what comes in its time is new; what is known already is answered whatever its time, as long as it is remembered.
# What was set aside is judged by when that was, but not after a later copy of it may have been answered and forgotten.
CLAIM_REQUEST = """
insert into requests (system, request_id, type, value_sha256)
select $1, $2, $3, $4
where $5::timestamptz between greatest(coalesce($7, now()), now() - interval '20 days') - interval '1 day'
  and coalesce($7::timestamptz, now()) + make_interval(secs => $6)
on conflict on constraint requests_pk do nothing returning true"""

SELECT_ANSWER = """
select answer_id, answer_type, answer from requests where system = $1 and request_id = $2"""

SELECT_IS_AHEAD = "select $1::timestamptz > now()"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with: the message's id, type and value (JSON)."""

    id: UUID
    type: str
    value: str


async def claim_request(conn: Connection, claim: Claim, time: datetime, came_at: datetime | None) -> Answer | None:
    """Note a request as being answered in this transaction; gives the answer where it has one already.

    The same request in another transaction is waited for. Raises `_Decline` for a new one that is not in its time.
    """
    assert conn.context.identity is not None  # noqa: S101 -- every transaction of Database has one.
    skew = conn.context.identity.clock_skew
    digest = bytes.fromhex(claim.value_sha256)
    if await conn.fetchval(
        CLAIM_REQUEST, claim.system, claim.request_id, claim.request_type, digest, time, skew, came_at
    ):
        return None
    answer = await find_answer(conn, claim)
    if answer is None:
        ahead = await conn.fetchval(SELECT_IS_AHEAD, time)
        raise _Decline(Declined.FROM_THE_FUTURE if ahead else Declined.STALE)
    return answer


async def find_answer(conn: Connection, claim: Claim) -> Answer | None:
    """Find what a request was answered with."""
    row = await conn.fetchrow(SELECT_ANSWER, claim.system, claim.request_id)
    return None if row is None else Answer(*row)


UPDATE_ANSWER = """
update requests set answer_id = $3, answer_type = $4, answer = $5 where system = $1 and request_id = $2"""


async def settle_request(conn: Connection, claim: Claim, answer_id: UUID, answer: Message) -> None:
    """Keep the answer of a request that was claimed."""
    await conn.execute(UPDATE_ANSWER, claim.system, claim.request_id, answer_id, answer.type, answer.model_dump_json())


PRUNE = """
delete from requests where ctid in (
    select ctid from requests where received_at < now() - make_interval(days => $1) limit $2)"""


async def prune(conn: Connection, *, days: int, limit: int) -> int:
    """Forget requests received that many days ago, a bounded number at a time; gives how many."""
    return int((await conn.execute(PRUNE, days, limit)).rpartition(" ")[2])
