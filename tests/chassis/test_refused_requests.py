"""Refused requests: what a system may not ask, or asks too late or illegibly, is answered and leaves nothing."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from chassis.dead_letters import Retries
from chassis.handlers import Handlers
from chassis.postgres import Database
from chassis.requests import LARGEST, Signed
from contracts.requests import Declined
from tests.support.asking import (
    KEY,
    OURS,
    TAKEN,
    THEIRS,
    Asker,
    ForgetThing,
    ThingRequestAccepted,
    ThingRequestRefused,
    ThingsBusy,
    answers,
    arrival,
    effects,
    handlers,
    listening,
    set_aside,
    stated,
    system,
    take,
    with_headers,
    with_value,
)
from tests.support.effects import Owner

pytestmark = pytest.mark.usefixtures("effects")


def at(**ago: float) -> datetime:
    return datetime.now(UTC) - timedelta(**ago)


async def test_what_a_rule_refuses_leaves_nothing_and_is_told_in_code_and_words(known: Database, asker: Asker) -> None:
    await take(known, arrival(asker.change(TAKEN)))
    (answer,) = await answers(known)
    assert await effects(known) == []
    assert isinstance(answer, ThingRequestRefused)
    assert (answer.reason, answer.code) == (Declined.BY_RULE, "urn:samband:problem:thing-taken")
    assert answer.text == "Somebody has the number 13. Take another."


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (lambda: at(hours=24, minutes=2), Declined.STALE),
        (lambda: at(days=3000), Declined.STALE),
        (lambda: datetime.max.replace(tzinfo=UTC), Declined.FROM_THE_FUTURE),
        (lambda: datetime.min.replace(tzinfo=UTC), Declined.STALE),
        (lambda: at(minutes=-20), Declined.FROM_THE_FUTURE),
        (lambda: at(days=-1), Declined.FROM_THE_FUTURE),
        (lambda: at(hours=22), None),
        (lambda: at(minutes=-5), None),
    ],
)
async def test_a_request_is_good_for_a_day_and_for_a_clock_that_is_a_little_ahead(
    time: Callable[[], datetime], reason: Declined | None, database: Database, asker: Asker
) -> None:
    listening(database, system("member", KEY), skew=600)
    await take(database, arrival(asker.change(4, time=time())))
    (answer,) = await answers(database)
    assert getattr(answer, "reason", None) == reason
    assert await effects(database) == ([] if reason else [4])


async def test_what_was_decided_is_answered_again_also_when_its_day_is_over(
    known: Database, asker: Asker, owner: Owner
) -> None:
    name, late = uuid4(), at(days=2)
    await take(known, arrival(asker.change(1, request_id=name)))
    await take(known, arrival(asker.change(1, request_id=name, time=late), offset=1))
    assert [answer.given for answer in await answers(known)] == ["no. 1", "no. 1"]


async def refused(known: Database, signed: Signed, found: Handlers | None = None) -> Any:
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


async def test_an_organisation_that_the_system_may_not_act_for_is_refused(known: Database, asker: Asker) -> None:
    assert (await refused(known, asker.change(organisation=THEIRS))).reason is Declined.ORGANISATION_NOT_ALLOWED


async def test_a_value_that_is_too_large_is_refused(known: Database, asker: Asker) -> None:
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
    fields: dict[str, object], says: str, known: Database, asker: Asker
) -> None:
    answer = await refused(known, changed(asker.change(), **fields))
    assert answer.reason is Declined.MALFORMED
    assert says in answer.text
    assert "kari" not in answer.text


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"n":' + b"[" * 5000])
async def test_a_value_that_is_no_object_is_refused(value: bytes, known: Database, asker: Asker) -> None:
    signed = with_value(asker.change(), value)
    assert (await refused(known, with_headers(signed, stated(signed)))).reason is Declined.MALFORMED


@pytest.mark.goal("sec-P2")
async def test_what_was_sealed_for_another_request_does_not_open(known: Database, asker: Asker) -> None:
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


async def test_what_is_refused_for_now_leaves_nothing_and_is_judged_anew(known: Database, asker: Asker) -> None:
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


@pytest.mark.parametrize(("days", "in_time"), [(3, True), (30, False)])
async def test_a_request_that_was_set_aside_is_judged_by_the_day_when_it_came(
    days: int, in_time: bool, known: Database, asker: Asker, owner: Owner
) -> None:
    signed = arrival(asker.change(8, time=at(days=days, hours=1)))
    await set_aside(known, signed)
    aside = "update things.dead_letters set set_aside_at = now() - make_interval(days => $1), next_attempt_at = now()"
    await owner.execute(aside, days)
    assert await Retries(known, handlers()).tick() == 1
    (answer,) = await answers(known)
    assert getattr(answer, "reason", None) == (None if in_time else Declined.STALE)
    assert await effects(known) == ([8] if in_time else [])
