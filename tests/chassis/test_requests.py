"""Requests: a signed one has one effect and one answer, however often it comes; what is not proven has none at all."""

import asyncio
import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis import dead_letters, requests, signing
from chassis.arrival import Arrival
from chassis.batches import Batches
from chassis.continuity import Continuity
from chassis.dead_letters import Retries
from chassis.handlers import Handlers, Hung, Lane
from chassis.postgres import Database
from chassis.requests import LARGEST, TOLD_A_MINUTE, Requests, Signed
from chassis.sealing import Keyring
from chassis.signing import Statement
from contracts.privacy import Sealed
from contracts.requests import Declined, Unproven
from contracts.topics import ACCOUNTS
from tests.conftest import Clone, OpenDatabase
from tests.support.asking import (
    OURS,
    TAKEN,
    THEIRS,
    THINGS_ANSWERS,
    THINGS_REQUESTS,
    Asker,
    ChangeThing,
    ForgetThing,
    ThingRequestAccepted,
    ThingRequestNotProven,
    ThingRequestRefused,
    ThingsBusy,
    answers,
    arrival,
    effects,
    handlers,
    listening,
    system,
    take,
    with_headers,
    with_value,
)
from tests.support.effects import Owner
from tests.support.things import ThingHappened

pytestmark = pytest.mark.usefixtures("effects")

KEY, OTHER_KEY, EC_KEY = signing.new_key("member-1"), signing.new_key("member-2"), signing.new_key("member-3", "P-256")
Known = Database


@pytest.fixture
def asker(clone: Clone) -> Asker:
    public = clone.cluster.keyring("things")._public
    return Asker("member", KEY, Keyring("member", public, None))


@pytest.fixture
def known(database: Database) -> Database:
    """The database of a service that listens to one system."""
    return listening(database, system("member", KEY))


async def test_a_signed_request_is_acted_on_once_and_answered(known: Known, asker: Asker) -> None:
    signed = asker.change(7)
    await take(known, arrival(signed))
    (answer,) = await answers(known)
    assert await effects(known) == [7]
    assert answer == ThingRequestAccepted(
        request_id=UUID(signed.headers["ce_id"]),
        system="member",
        request_type=ChangeThing.type,
        value_sha256=hashlib.sha256(signed.value).hexdigest(),
        given="no. 7",
    )
    assert b"kari" not in signed.value


async def test_the_answer_names_its_cause(known: Known, asker: Asker) -> None:
    signed = asker.change()
    await take(known, arrival(signed))
    async with known.transaction() as conn:
        headers = json.loads(await conn.fetchval("select headers from outbox"))
    assert (headers["ce_causationid"], headers["ce_source"]) == (signed.headers["ce_id"], "/services/things")


async def owed(known: Known) -> list[tuple[UUID, bytes]]:
    async with known.transaction() as conn:
        rows = await conn.fetch("select message_id, payload from outbox where type <> $1", ThingRequestNotProven.type)
        return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("n", [7, TAKEN], ids=["accepted", "refused"])
async def test_the_same_request_again_has_no_effect_and_gets_the_same_answer(
    n: int, known: Known, asker: Asker
) -> None:
    signed = asker.change(n)
    await take(known, arrival(signed, offset=1), arrival(signed, offset=2))
    before = await effects(known)
    await take(known, arrival(signed, offset=3))
    sent = await owed(known)
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert await effects(known) == before == ([] if n == TAKEN else [n])


async def test_an_id_that_is_used_for_another_value_gets_the_first_answer_which_says_of_what(
    known: Known, asker: Asker
) -> None:
    first = asker.change(1)
    second = asker.change(2, request_id=UUID(first.headers["ce_id"]))
    await take(known, arrival(first, offset=1), arrival(second, offset=2))
    one, two = await answers(known)
    assert one == two
    assert one.value_sha256 == hashlib.sha256(first.value).hexdigest()
    assert await effects(known) == [1]


async def test_an_id_belongs_to_its_system(clone: Clone, database: Database, asker: Asker) -> None:
    other = Asker("desk", OTHER_KEY, Keyring("desk", asker.sealer._public, None))
    listening(database, system("member", KEY), system("desk", OTHER_KEY))
    name = uuid4()
    await take(database, arrival(asker.change(1, request_id=name)), arrival(other.change(2, request_id=name), offset=1))
    assert [(a.system, a.given) for a in await answers(database)] == [("member", "no. 1"), ("desk", "no. 2")]


async def test_a_record_that_kafka_brings_again_is_not_even_answered(known: Known, asker: Asker) -> None:
    signed = asker.change()
    await take(known, arrival(signed, offset=4))
    await take(known, arrival(signed, offset=4))
    assert len(await answers(known)) == 1


async def test_what_a_rule_refuses_leaves_nothing_and_is_told_in_code_and_words(known: Known, asker: Asker) -> None:
    await take(known, arrival(asker.change(TAKEN)))
    (answer,) = await answers(known)
    assert await effects(known) == []
    assert isinstance(answer, ThingRequestRefused)
    assert (answer.reason, answer.code) == (Declined.BY_RULE, "urn:samband:problem:thing-taken")
    assert answer.text == "Somebody has the number 13. Take another."


async def test_the_same_request_at_once_has_one_effect_and_one_answer(open_as: OpenDatabase, asker: Asker) -> None:
    database = listening(await open_as("things", 20), system("member", KEY))
    signed = asker.change(5)
    await asyncio.gather(*(take(database, arrival(signed, partition=n)) for n in range(20)))
    assert await effects(database) == [5]
    assert len(set(await owed(database))) == 1
    assert len(await owed(database)) == 20


def stated(signed: Signed, value: bytes | None = None, **facts: str) -> dict[str, str]:
    """Sign by the system's right key, but state other things."""
    headers = signed.headers
    right = {"message": headers["ce_id"], "type": headers["ce_type"], "audience": "things", "time": headers["ce_time"]}
    token = signing.sign(Statement(requests.USE, right | facts), signed.value if value is None else value, KEY)
    return {"ce_signature": token}


def forge(token: str, **changes: Any) -> str:
    """Change the protected header of a JWS."""
    head, _, signature = token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "==")) | changes
    return f"{base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b'=').decode()}..{signature}"


ANOTHER = str(UUID(int=9))
FORGERIES: dict[str, tuple[Any, Unproven]] = {
    "no header": (lambda _: {"ce_signature": None}, Unproven.NO_SIGNATURE),
    "of another value": (lambda s: stated(s, b"{}"), Unproven.WRONG_SIGNATURE),
    "of another id": (lambda s: stated(s, message=ANOTHER), Unproven.OTHER_REQUEST),
    "of another type": (lambda s: stated(s, type=ForgetThing.type), Unproven.OTHER_REQUEST),
    "of another audience": (lambda s: stated(s, audience="auth"), Unproven.OTHER_REQUEST),
    "of another time": (lambda s: stated(s, time="2026-01-01T00:00:00+00:00"), Unproven.OTHER_REQUEST),
    "of no time": (lambda s: stated(s, time="soon"), Unproven.UNREADABLE_REQUEST),
    "moved to another id": (lambda _: {"ce_id": ANOTHER}, Unproven.OTHER_REQUEST),
    "moved to another type": (lambda _: {"ce_type": ForgetThing.type}, Unproven.OTHER_REQUEST),
    "moved to another subject": (lambda _: {"ce_subject": ANOTHER}, Unproven.OTHER_REQUEST),
    "moved to no subject": (lambda _: {"ce_subject": None}, Unproven.UNREADABLE_REQUEST),
    "moved to another key": (lambda _: {"key": ANOTHER}, Unproven.OTHER_REQUEST),
    "moved to no key": (lambda _: {"key": None}, Unproven.OTHER_REQUEST),
    "moved to another time": (lambda _: {"ce_time": "2026-01-01T00:00:00Z"}, Unproven.OTHER_REQUEST),
    "of a time before all": (
        lambda s: stated(s, time="0001-01-01T00:00:00+14:00") | {"ce_time": "0001-01-01T00:00:00+14:00"},
        Unproven.UNREADABLE_REQUEST,
    ),
    "of another use": (
        lambda s: {"ce_signature": signing.sign(Statement("samband-upload"), s.value, KEY)},
        Unproven.UNREADABLE_REQUEST,
    ),
    "by an unknown key": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], kid="x")}, Unproven.UNKNOWN_KEY),
    "by no key": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], kid=None)}, Unproven.UNKNOWN_KEY),
    "by a stranger's key": (
        lambda s: {"ce_signature": signing.sign(requests.statement("", "", "", ""), s.value, OTHER_KEY)},
        Unproven.UNKNOWN_KEY,
    ),
    "by a key that has the kid of another": (
        lambda s: {"ce_signature": signing.sign(Statement("x"), s.value, signing.new_key("member-1"))},
        Unproven.WRONG_SIGNATURE,
    ),
    "none": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], alg="none")}, Unproven.UNREADABLE_SIGNATURE),
    "HS256": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], alg="HS256")}, Unproven.UNREADABLE_SIGNATURE),
    "another curve's": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], alg="ES256")},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "critical": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], crit=["exp"])},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "unencoded": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], b64=False)},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "with unknown parameters": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], extra=1)},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "no JWS": (lambda _: {"ce_signature": "signed, the director"}, Unproven.UNREADABLE_SIGNATURE),
    "attached": (
        lambda s: {"ce_signature": s.headers["ce_signature"].replace("..", ".e30.")},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "empty": (lambda _: {"ce_signature": ""}, Unproven.UNREADABLE_SIGNATURE),
    "endless": (lambda _: {"ce_signature": "a" * 100_000 + "..b"}, Unproven.UNREADABLE_SIGNATURE),
    "without a time": (lambda _: {"ce_time": None}, Unproven.UNREADABLE_REQUEST),
    "not a CloudEvent": (lambda _: {"ce_specversion": None}, Unproven.UNREADABLE_REQUEST),
}


def forged(signed: Signed, name: str, *, offset: int = 0) -> Arrival:
    changes: dict[str, str | None] = FORGERIES[name][0](signed)
    raw: dict[str, Any] = {header: None if text is None else text.encode() for header, text in changes.items()}
    key = raw.pop("key", signed.key.encode())
    return replace(arrival(signed, offset=offset, **raw), key=key)


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_request_has_no_effect_and_takes_nothing_from_the_authentic_one_of_its_id_and_key(
    name: str, known: Known, asker: Asker, owner: Owner
) -> None:
    signed = asker.change(3)
    await take(known, forged(signed, name, offset=17))
    assert [type(answer) for answer in await answers(known)] == [ThingRequestNotProven]
    (told,) = await answers(known)
    assert (told.system, told.partition, told.offset, told.reason) == ("member", 0, 17, FORGERIES[name][1])
    assert await effects(known) == []
    assert await owner.fetchval("select count(*) from things.dead_letters") == 0
    assert await owner.fetchval("select count(*) from things.requests") == 0
    await take(known, forged(signed, name, offset=18), arrival(signed, offset=19), forged(signed, name, offset=20))
    proven = [answer for answer in await answers(known) if not isinstance(answer, ThingRequestNotProven)]
    assert [answer.given for answer in proven] == ["no. 3"]
    assert await effects(known) == [3]


async def test_a_flood_of_forgeries_is_told_of_some_times_and_hides_no_authentic_one(
    known: Known, asker: Asker
) -> None:
    flood = [arrival(asker.change(), offset=n, ce_signature=b"x") for n in range(3 * TOLD_A_MINUTE)]
    await take(known, *flood, arrival(asker.change(9), offset=len(flood)))
    *told, last = await answers(known)
    assert [answer.offset for answer in told] == list(range(TOLD_A_MINUTE))
    assert last.given == "no. 9"


async def test_a_batch_that_is_rolled_back_takes_no_room_of_what_is_told(known: Known, asker: Asker) -> None:
    flood = [arrival(asker.change(), offset=n, ce_signature=b"x") for n in range(TOLD_A_MINUTE)]
    found = handlers(broken=[RuntimeError("a bug")])
    with pytest.raises(RuntimeError):
        await take(known, *flood, arrival(asker.change(), offset=len(flood)), found=found)
    await take(known, *flood, found=found)
    assert [answer.offset for answer in await answers(known)] == list(range(TOLD_A_MINUTE))


@pytest.mark.goal("sec-P9")
async def test_what_is_logged_of_a_request_says_where_it_lies_and_nothing_that_its_sender_wrote(
    known: Known, asker: Asker
) -> None:
    signed = with_headers(asker.change(), {"ce_id": "kari@example.no", "ce_subject": "Kari", "ce_signature": "Kari.."})
    strangers = with_headers(signed, {"ce_source": "/systems/kari@example.no"})
    with structlog.testing.capture_logs() as lines:
        await take(known, arrival(signed, offset=5), arrival(strangers, offset=6))
    expected = {"log_level": "warning", "event": "request_not_proven", "topic": THINGS_REQUESTS.name, "partition": 0}
    assert lines == [
        {**expected, "offset": 5, "system": "member", "reason": "unreadable_signature"},
        {**expected, "offset": 6, "system": None, "reason": "unreadable_signature"},
    ]


@pytest.mark.parametrize("topic", [ACCOUNTS.name, THINGS_ANSWERS.name])
async def test_a_request_on_a_topic_where_nobody_looks_at_signatures_is_set_aside(
    topic: str, known: Known, asker: Asker, owner: Owner
) -> None:
    await take(known, replace(arrival(asker.change()), topic=topic))
    assert (await answers(known), await effects(known)) == ([], [])
    reason = await owner.fetchval("select reason from things.dead_letters")
    assert reason == f"Broken: {ChangeThing.type} does not belong on this topic"


async def test_two_signatures_are_none(known: Known, asker: Asker) -> None:
    came = arrival(asker.change())
    twice = replace(came, headers=(*came.headers, ("ce_signature", b"x")))
    await take(known, twice)
    assert [answer.reason for answer in await answers(known)] == [Unproven.NO_SIGNATURE]


async def test_an_id_that_is_no_uuid_is_told_of_without_it(known: Known, asker: Asker) -> None:
    signed = asker.change()
    changed = with_headers(signed, {"ce_id": "kari@example.no", **stated(signed, message="kari@example.no")})
    await take(known, arrival(changed))
    (answer,) = await answers(known)
    assert (answer.reason, answer.request_id) == (Unproven.UNREADABLE_REQUEST, None)


@pytest.mark.parametrize("source", ["/systems/nobody", "/services/things", "member", "/systems/", "/systems/../member"])
async def test_nobody_is_answered_when_no_known_system_is_named(source: str, known: Known, asker: Asker) -> None:
    await take(known, arrival(asker.change(), ce_source=source.encode()))
    assert await answers(known) == []
    assert await effects(known) == []


async def test_a_service_that_listens_to_nobody_acts_on_nothing(database: Database, asker: Asker) -> None:
    await take(database, arrival(asker.change()))
    assert (await answers(database), await effects(database)) == ([], [])


def at(**ago: float) -> datetime:
    return datetime.now(UTC) - timedelta(**ago)


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (at(hours=24, minutes=2), Declined.STALE),
        (at(days=3000), Declined.STALE),
        (datetime.max.replace(tzinfo=UTC), Declined.FROM_THE_FUTURE),
        (datetime.min.replace(tzinfo=UTC), Declined.STALE),
        (at(minutes=-20), Declined.FROM_THE_FUTURE),
        (at(days=-1), Declined.FROM_THE_FUTURE),
        (at(hours=22), None),
        (at(minutes=-5), None),
    ],
)
async def test_a_request_is_good_for_a_day_and_for_a_clock_that_is_a_little_ahead(
    time: datetime, reason: Declined | None, database: Database, asker: Asker
) -> None:
    listening(database, system("member", KEY), skew=600)
    await take(database, arrival(asker.change(4, time=time)))
    (answer,) = await answers(database)
    assert getattr(answer, "reason", None) == reason
    assert await effects(database) == ([] if reason else [4])


async def test_what_was_decided_is_answered_again_also_when_its_day_is_over(
    known: Known, asker: Asker, owner: Owner
) -> None:
    name, late = uuid4(), at(days=2)
    await take(known, arrival(asker.change(1, request_id=name)))
    await take(known, arrival(asker.change(1, request_id=name, time=late), offset=1))
    assert [answer.given for answer in await answers(known)] == ["no. 1", "no. 1"]


async def refused(known: Known, signed: Signed, found: Handlers | None = None) -> Any:
    await take(known, arrival(signed), found=found)
    (answer,) = await answers(known)
    assert isinstance(answer, ThingRequestRefused)
    assert answer.code == f"urn:samband:request:{answer.reason.replace('_', '-')}"
    assert await effects(known) == []
    return answer


async def test_a_type_that_the_system_may_not_send_is_refused(database: Database, asker: Asker) -> None:
    listening(database, system("member", KEY, types=frozenset({"things.Other.v1"})))
    assert (await refused(database, asker.change())).reason is Declined.TYPE_NOT_ALLOWED


async def test_a_type_that_is_not_known_here_is_refused(database: Database, asker: Asker) -> None:
    listening(database, system("member", KEY, types=frozenset({ForgetThing.type})))
    signed = asker.sign(ForgetThing(thing_id=uuid4(), organisation_id=OURS))
    assert (await refused(database, signed)).reason is Declined.UNKNOWN_TYPE


async def test_an_organisation_that_the_system_may_not_act_for_is_refused(known: Known, asker: Asker) -> None:
    assert (await refused(known, asker.change(organisation=THEIRS))).reason is Declined.ORGANISATION_NOT_ALLOWED


async def test_a_value_that_is_too_large_is_refused(known: Known, asker: Asker) -> None:
    signed = asker.change()
    large = with_value(signed, signed.value + b" " * LARGEST)
    answer = await refused(known, with_headers(large, stated(large)))
    assert answer.reason is Declined.TOO_LARGE


def changed(signed: Signed, **fields: object) -> Signed:
    value = json.dumps(json.loads(signed.value) | fields).encode()
    return with_headers(with_value(signed, value), stated(with_value(signed, value)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"n": 0}, "n: greater_than_equal"),
        ({"n": "kari@example.no"}, "n: int_parsing"),
        ({"note": "kari@example.no"}, "note: value_error"),
        ({"note": "a.b.c.d.e"}, "note does not open"),
        ({"organisation_id": None}, "organisation_id: uuid_type"),
    ],
)
async def test_a_value_that_cannot_be_read_is_refused_naming_the_field_and_never_what_is_in_it(
    fields: dict[str, object], says: str, known: Known, asker: Asker
) -> None:
    answer = await refused(known, changed(asker.change(), **fields))
    assert answer.reason is Declined.MALFORMED
    assert says in answer.text
    assert "kari" not in answer.text


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"n":' + b"[" * 5000])
async def test_a_value_that_is_no_object_is_refused(value: bytes, known: Known, asker: Asker) -> None:
    signed = with_value(asker.change(), value)
    assert (await refused(known, with_headers(signed, stated(signed)))).reason is Declined.MALFORMED


@pytest.mark.goal("sec-P2")
async def test_what_was_sealed_for_another_request_does_not_open(known: Known, asker: Asker) -> None:
    answer = await refused(known, changed(asker.change(), note=json.loads(asker.change().value)["note"]))
    assert (answer.reason, "sealed for another place" in answer.text) == (Declined.MALFORMED, True)


async def test_what_was_refused_at_the_door_is_judged_anew(database: Database, asker: Asker) -> None:
    signed = asker.change(6)
    listening(database, system("member", KEY, types=frozenset()))
    await take(database, arrival(signed))
    listening(database, system("member", KEY))
    await take(database, arrival(signed, offset=1))
    assert [type(answer) for answer in await answers(database)] == [ThingRequestRefused, ThingRequestAccepted]
    assert await effects(database) == [6]


async def test_what_was_decided_is_answered_again_also_when_it_may_not_be_asked_any_more(
    database: Database, asker: Asker
) -> None:
    signed = asker.change(6)
    listening(database, system("member", KEY))
    await take(database, arrival(signed))
    listening(database, system("member", KEY, types=frozenset()))
    await take(database, arrival(signed, offset=1))
    one, two = await answers(database)
    assert isinstance(one, ThingRequestAccepted)
    assert one == two


async def test_what_is_refused_for_now_leaves_nothing_and_is_judged_anew(known: Known, asker: Asker) -> None:
    busy: list[Exception] = [ThingsBusy()]
    found, signed = handlers(broken=busy), asker.change(6)
    await take(known, arrival(signed), found=found)
    (answer,) = await answers(known)
    assert (answer.reason, answer.code) == (Declined.NOT_NOW, "urn:samband:problem:things-busy")
    assert await effects(known) == []
    busy.clear()
    await take(known, arrival(signed, offset=1), found=found)
    assert [type(each) for each in await answers(known)] == [ThingRequestRefused, ThingRequestAccepted]
    assert await effects(known) == [6]


async def test_keys_are_rotated_with_overlap(database: Database, asker: Asker) -> None:
    new = replace(asker, key=EC_KEY)
    for keys, by_old, by_new in (((KEY,), True, False), ((EC_KEY, KEY), True, True), ((EC_KEY,), False, True)):
        listening(database, system("member", *keys))
        before = len(await effects(database))
        await take(database, arrival(asker.change(1), offset=before), arrival(new.change(2), offset=before))
        assert (await effects(database))[before:] == [1] * by_old + [2] * by_new


async def test_a_fault_of_ours_sets_the_request_aside_and_answers_it_when_it_is_mended(
    known: Known, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0.0)
    broken: list[Exception] = [RuntimeError("not mended yet")]
    found, signed = handlers(broken=broken), arrival(asker.change(8))
    with pytest.raises(RuntimeError):
        await take(known, signed, found=found)
    async with known.transaction() as conn:
        await dead_letters.set_aside(conn, "normal", signed, RuntimeError("a bug"))
    retries = Retries(known, found)
    assert (await retries.tick(), await answers(known)) == (1, [])
    broken.clear()
    assert await retries.tick() == 1
    assert [answer.given for answer in await answers(known)] == ["no. 8"]
    assert await effects(known) == [8]


@pytest.mark.parametrize(("days", "in_time"), [(3, True), (30, False)])
async def test_a_request_that_was_set_aside_is_judged_by_the_day_when_it_came(
    days: int, in_time: bool, known: Known, asker: Asker, owner: Owner
) -> None:
    signed = arrival(asker.change(8, time=at(days=days, hours=1)))
    async with known.transaction() as conn:
        await dead_letters.set_aside(conn, "normal", signed, RuntimeError("a bug"))
    aside = "update things.dead_letters set set_aside_at = now() - make_interval(days => $1), next_attempt_at = now()"
    await owner.execute(aside, days)
    assert await Retries(known, handlers()).tick() == 1
    (answer,) = await answers(known)
    assert getattr(answer, "reason", None) == (None if in_time else Declined.STALE)
    assert await effects(known) == ([8] if in_time else [])


async def set_aside(known: Known, came: Arrival) -> None:
    async with known.transaction() as conn:
        await dead_letters.set_aside(conn, "normal", came, RuntimeError("a bug"))


async def test_a_forgery_of_a_key_that_waits_is_told_of_and_never_kept(
    known: Known, asker: Asker, owner: Owner
) -> None:
    signed = asker.change(1)
    await set_aside(known, arrival(signed))
    await take(known, arrival(signed, offset=1, ce_signature=b"x"))
    assert [type(answer) for answer in await answers(known)] == [ThingRequestNotProven]
    assert await owner.fetchval("select count(*) from things.dead_letters") == 1
    await take(known, arrival(signed, offset=2))
    assert await owner.fetchval("select count(*) from things.dead_letters") == 2
    assert await effects(known) == []


async def test_a_forgery_of_a_type_whose_handler_hangs_is_told_of_and_never_kept(
    known: Known, asker: Asker, owner: Owner
) -> None:
    first = arrival(asker.change(1))
    forgery = arrival(asker.change(2), offset=1, ce_signature=b"x")
    found = handlers(broken=[Hung("it hangs", first)])
    batches = Batches(known, found, Lane.NORMAL, reached={}, continuity=Continuity(lambda _: None))
    await batches.handle([first, forgery], set())
    assert [type(answer) for answer in await answers(known)] == [ThingRequestNotProven]
    assert await owner.fetchval('select array_agg("offset") from things.dead_letters') == [0]


async def test_no_system_waits_for_what_another_asks_under_the_same_key(database: Database, asker: Asker) -> None:
    other = Asker("desk", OTHER_KEY, Keyring("desk", asker.sealer._public, None))
    listening(database, system("member", KEY), system("desk", OTHER_KEY))
    change = ChangeThing(thing_id=uuid4(), organisation_id=OURS, n=5, note=Sealed("x"))
    await set_aside(database, arrival(other.sign(change)))
    await take(database, arrival(asker.sign(change), offset=1))
    assert [answer.system for answer in await answers(database)] == ["member"]


async def test_answers_are_forgotten_after_their_days(known: Known, asker: Asker, owner: Owner) -> None:
    await take(known, arrival(asker.change()))
    await owner.execute("update things.requests set received_at = now() - interval '20 days'")
    async with known.transaction() as conn:
        assert await requests.prune(conn, days=21, limit=10) == 0
    await owner.execute("update things.requests set received_at = now() - interval '22 days'")
    async with known.transaction() as conn:
        assert await requests.prune(conn, days=21, limit=10) == 1


def test_a_request_says_whom_it_is_for_and_lies_where_others_write() -> None:
    asked = Requests(
        Handlers(), accepted=ThingRequestAccepted, refused=ThingRequestRefused, not_proven=ThingRequestNotProven
    )
    with pytest.raises(ValueError, match="must be on a topic of requests and have the field organisation_id"):
        asked.on(ThingHappened)


@pytest.mark.goal("ops-O8")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    token=st.one_of(st.binary(max_size=200), st.text(alphabet="ab.=_-", max_size=60).map(str.encode)),
    header=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["alg", "kid", "typ", "x"]), inner),
        max_leaves=6,
    ),
    value=st.binary(max_size=50),
)
def test_no_signature_whatever_raises_anything_but_not_proven(token: bytes, header: object, value: bytes) -> None:
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    for text in (token.decode("ascii", "replace"), f"{head}..AAAA"):
        with pytest.raises(signing.NotProven):
            signing.verify(text, value, {"member-1": KEY, "True": EC_KEY})
