"""Handlers: one for each type, one lane for each topic, and a broken message says what is wrong without what is in it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from chassis.arrival import Arrival, Broken
from chassis.dead_letters import describe
from chassis.errors import Kind, Refusal
from chassis.handlers import Handlers, Hung, Lane
from chassis.postgres import Connection, Database
from chassis.sealing import CannotOpen, Place
from contracts.message import Envelope
from tests.support.lanes import body, headers
from tests.support.things import ThingHappened, ThingReplaced, ThingWhispered

KIND = ThingHappened.type


async def ignore(conn: Connection, message: Any, envelope: Envelope) -> None:
    pass


def arrived(value: bytes | None = None, *, kind: str = KIND, event_id: str | None = None) -> Arrival:
    value = body(thing_id=uuid4(), n=1) if value is None else value
    given = headers(kind, event_id=event_id)
    topic = (ThingWhispered if kind == ThingWhispered.type else ThingHappened).topic.name
    return Arrival.of(ConsumerRecord(topic, 0, 0, 0, 0, b"k", value, None, 0, 0, given))


def knowing(*, seconds: float = 20.0) -> Handlers:
    found = Handlers(seconds=seconds)
    found.on(ThingHappened, lane=Lane.URGENT)(ignore)
    found.on(ThingReplaced, lane=Lane.URGENT)(ignore)
    return found


def test_a_second_handler_for_a_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"auth\.ThingHappened\.v1 has a handler already"):
        knowing().on(ThingHappened, lane=Lane.URGENT)(ignore)


def test_a_topic_is_read_in_one_lane_or_its_order_would_be_lost() -> None:
    found = Handlers()
    found.on(ThingHappened, lane=Lane.URGENT)(ignore)
    with pytest.raises(ValueError, match=r"auth\.accounts\.v1 is read in another lane already"):
        found.on(ThingReplaced, lane=Lane.NORMAL)(ignore)


def test_a_lane_has_the_topics_of_its_messages_each_once() -> None:
    found = knowing()
    assert (found.lanes(), found.topics(Lane.NORMAL)) == ([Lane.URGENT], [])
    found.on(ThingWhispered)(ignore)
    assert found.lanes() == [Lane.NORMAL, Lane.URGENT]
    assert found.topics(Lane.URGENT) == ["auth.accounts.v1"]
    assert found.topics(Lane.NORMAL) == ["auth.codes.v1"]


def test_the_function_that_is_registered_stays_what_it_was() -> None:
    assert Handlers().on(ThingHappened)(ignore) is ignore


def test_an_unknown_type_is_somebody_elses_and_passed_over() -> None:
    assert knowing().knows(arrived())
    assert not knowing().knows(arrived(kind="auth.SomethingElse.v1"))
    assert not knowing().knows(arrived(kind="members.ThingHappened.v1"))
    assert not knowing().knows(arrived(kind="auth.ThingHappenedElsewhere.v1"))


def test_a_known_type_on_another_topic_than_its_own_is_broken() -> None:
    with pytest.raises(Broken, match=r"auth\.ThingHappened\.v1 does not belong on this topic"):
        knowing().knows(replace(arrived(), topic="auth.codes.v1"))


@pytest.mark.parametrize("kind", ["auth.ThingHappened.v2", "auth.ThingHappened.v10"])
def test_a_known_type_in_an_unknown_version_is_broken_for_this_service(kind: str) -> None:
    with pytest.raises(Broken, match=r"version [0-9]+ of auth\.ThingHappened is unknown here"):
        knowing().knows(arrived(kind=kind))


@pytest.mark.parametrize(
    "kind", ["hello", "auth.thing.v1", "auth.Thing.v0", "auth.Thing.v01", "auth.Thing", "Auth.Thing.v1"]
)
def test_a_type_that_is_none_is_broken(kind: str) -> None:
    with pytest.raises(Broken, match="ce_type is not"):
        knowing().knows(arrived(kind=kind))


def test_a_record_without_an_envelope_is_broken_and_overtakes_nothing() -> None:
    nothing = Arrival.of(ConsumerRecord("t", 0, 0, 0, 0, b"k", b"{}", None, 0, 0, ()))
    with pytest.raises(Broken, match="ce_specversion is missing"):
        knowing().knows(nothing)
    assert not knowing().overtakes(nothing)


def test_only_a_message_that_was_declared_so_overtakes() -> None:
    found = knowing()
    assert found.overtakes(arrived(kind=ThingReplaced.type))
    assert not found.overtakes(arrived())
    assert not found.overtakes(arrived(kind="auth.SomethingElse.v1"))


async def call(database: Database, found: Handlers, arrival: Arrival) -> str | None:
    """Call in a transaction of its own; gives the cause that the next owner of the connection would see."""
    async with database.transaction() as conn:
        try:
            await found.call(conn, arrival)
        finally:
            assert conn.context.cause is None
    return None


async def test_a_handler_gets_the_validated_message_its_envelope_and_its_cause(database: Database) -> None:
    seen: list[tuple[int, str, str | None]] = []
    found = Handlers()

    @found.on(ThingHappened)
    async def note(conn: Connection, message: ThingHappened, envelope: Envelope) -> None:
        seen.append((message.n, envelope.id, conn.context.cause))

    await call(database, found, arrived(event_id="e-1"))
    assert seen == [(1, "e-1", "e-1")]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"{canary", "value: json_invalid"),
        (b"\xff", "value: json_invalid"),
        (b'["canary"]', "value: model_type"),
        (body(thing_id="canary", n="canary"), "thing_id: uuid_parsing, n: int_parsing"),
        (body(n=1), "thing_id: missing"),
    ],
)
async def test_a_value_of_another_shape_names_the_fields_and_never_their_content(
    value: bytes, says: str, database: Database
) -> None:
    with pytest.raises(Broken) as broken:
        await call(database, knowing(), arrived(value))
    assert str(broken.value) == f"{KIND}: {says}"
    assert broken.value.__suppress_context__


async def test_a_null_value_is_broken(database: Database) -> None:
    nothing = replace(arrived(), value=None)
    with pytest.raises(Broken, match="the value is null"):
        await call(database, knowing(), nothing)


async def test_what_is_sealed_to_this_service_arrives_open_and_a_moved_text_does_not(database: Database) -> None:
    heard: list[str] = []
    found = Handlers()

    @found.on(ThingWhispered)
    async def hear(conn: Connection, message: ThingWhispered, envelope: Envelope) -> None:
        heard.append(message.secret.clear)

    place = Place("e-1", ThingWhispered.type, "secret")
    value = body(thing_id=uuid4(), secret=database.identity.keyring.seal("canary", "things", place))
    await call(database, found, arrived(value, kind=ThingWhispered.type, event_id="e-1"))
    with pytest.raises(CannotOpen) as refused:
        await call(database, found, arrived(value, kind=ThingWhispered.type, event_id="e-2"))
    assert heard == ["canary"]
    assert "canary" not in describe(refused.value)


async def hang() -> None:
    await asyncio.Event().wait()


async def time_out() -> None:
    raise TimeoutError("a statement's own")


@pytest.mark.parametrize(("trouble", "error"), [(hang, Hung), (time_out, TimeoutError)])
async def test_a_handler_that_hangs_is_told_from_one_whose_own_wait_ended(
    trouble: Callable[[], Awaitable[None]], error: type[Exception], database: Database
) -> None:
    found = Handlers(seconds=0.01 if trouble is hang else 20.0)

    @found.on(ThingHappened)
    async def handle(conn: Connection, message: ThingHappened, envelope: Envelope) -> None:
        await trouble()

    with pytest.raises(error) as raised:
        await call(database, found, arrived())
    assert type(raised.value) is error


class NoThanks(Refusal):
    """This is understood and declined."""

    kind = Kind.CONFLICT


FOREIGN = [
    ValueError("canary"),
    KeyError("canary"),
    asyncpg.UniqueViolationError("canary"),
    ExceptionGroup("canary", [ValueError("canary")]),
    NoThanks(who="canary"),
    type("Sly", (Broken,), {"__module__": "chassisother.x"})("canary"),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_a_foreign_error_is_described_by_its_type_alone(error: Exception) -> None:
    assert describe(error) == type(error).__name__


def test_an_own_error_is_described_with_its_text_cut_to_what_a_column_needs() -> None:
    assert describe(Broken("ce_id is missing")) == "Broken: ce_id is missing"
    assert len(describe(Broken("x" * 1000))) == 300
