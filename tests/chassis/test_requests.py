"""Requests: a signed one has one effect and one answer, however often it comes."""

import asyncio
import hashlib
import json
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from chassis import dead_letters, requests, signing
from chassis.dead_letters import Retries
from chassis.handlers import Handlers
from chassis.postgres import Database
from chassis.requests import Requests
from chassis.sealing import Keyring
from contracts.privacy import Sealed
from contracts.topics import ACCOUNTS
from tests.conftest import OpenDatabase
from tests.support.asking import (
    DESK_KEY,
    KEY,
    OURS,
    TAKEN,
    THINGS_ANSWERS,
    Asker,
    ChangeThing,
    ThingRequestAccepted,
    ThingRequestNotProven,
    ThingRequestRefused,
    answers,
    arrival,
    effects,
    handlers,
    listening,
    set_aside,
    system,
    take,
)
from tests.support.effects import Owner
from tests.support.things import ThingHappened

pytestmark = pytest.mark.usefixtures("effects")


async def test_a_signed_request_is_acted_on_once_and_answered(known: Database, asker: Asker) -> None:
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


async def test_the_answer_names_its_cause(known: Database, asker: Asker) -> None:
    signed = asker.change()
    await take(known, arrival(signed))
    async with known.transaction() as conn:
        headers = json.loads(await conn.fetchval("select headers from outbox"))
    assert (headers["ce_causationid"], headers["ce_source"]) == (signed.headers["ce_id"], "/services/things")


async def owed(known: Database) -> list[tuple[UUID, bytes]]:
    async with known.transaction() as conn:
        rows = await conn.fetch("select message_id, payload from outbox where type <> $1", ThingRequestNotProven.type)
        return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("n", [7, TAKEN], ids=["accepted", "refused"])
async def test_the_same_request_again_has_no_effect_and_gets_the_same_answer(
    n: int, known: Database, asker: Asker
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
    known: Database, asker: Asker
) -> None:
    first = asker.change(1)
    second = asker.change(2, request_id=UUID(first.headers["ce_id"]))
    await take(known, arrival(first, offset=1), arrival(second, offset=2))
    one, two = await answers(known)
    assert one == two
    assert one.value_sha256 == hashlib.sha256(first.value).hexdigest()
    assert await effects(known) == [1]


def desk(asker: Asker) -> Asker:
    return Asker("desk", DESK_KEY, Keyring("desk", asker.sealer._public, None))


async def test_an_id_belongs_to_its_system(known: Database, asker: Asker) -> None:
    name = uuid4()
    mine, theirs = asker.change(1, request_id=name), desk(asker).change(2, request_id=name)
    await take(known, arrival(mine), arrival(theirs, offset=1))
    assert [(a.system, a.given) for a in await answers(known)] == [("member", "no. 1"), ("desk", "no. 2")]


async def test_a_record_that_kafka_brings_again_is_not_even_answered(known: Database, asker: Asker) -> None:
    signed = asker.change()
    await take(known, arrival(signed, offset=4))
    await take(known, arrival(signed, offset=4))
    assert len(await answers(known)) == 1


async def test_the_same_request_at_once_has_one_effect_and_one_answer(open_as: OpenDatabase, asker: Asker) -> None:
    database = listening(await open_as("things", 20), system("member", KEY))
    signed = asker.change(5)
    await asyncio.gather(*(take(database, arrival(signed, partition=n)) for n in range(20)))
    assert await effects(database) == [5]
    assert len(set(await owed(database))) == 1
    assert len(await owed(database)) == 20


@pytest.mark.parametrize("topic", [ACCOUNTS.name, THINGS_ANSWERS.name])
async def test_a_request_on_a_topic_where_nobody_looks_at_signatures_is_set_aside(
    topic: str, known: Database, asker: Asker, owner: Owner
) -> None:
    await take(known, replace(arrival(asker.change()), topic=topic))
    assert (await answers(known), await effects(known)) == ([], [])
    reason = await owner.fetchval("select reason from things.dead_letters")
    assert reason == f"Broken: {ChangeThing.type} does not belong on this topic"


async def test_a_service_that_listens_to_nobody_acts_on_nothing(database: Database, asker: Asker) -> None:
    await take(database, arrival(asker.change()))
    assert (await answers(database), await effects(database)) == ([], [])


async def test_keys_are_rotated_with_overlap(database: Database, asker: Asker) -> None:
    new = replace(asker, key=signing.new_key("member-2", "P-256"))
    for keys, by_old, by_new in (((KEY,), True, False), ((new.key, KEY), True, True), ((new.key,), False, True)):
        listening(database, system("member", *keys))
        before = len(await effects(database))
        await take(database, arrival(asker.change(1), offset=before), arrival(new.change(2), offset=before))
        assert (await effects(database))[before:] == [1] * by_old + [2] * by_new


async def test_a_fault_of_ours_sets_the_request_aside_and_answers_it_when_it_is_mended(
    known: Database, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0.0)
    broken: list[Exception] = [RuntimeError("not mended yet")]
    found, signed = handlers(broken=broken), arrival(asker.change(8))
    with pytest.raises(RuntimeError):
        await take(known, signed, found=found)
    await set_aside(known, signed)
    retries = Retries(known, found)
    assert (await retries.tick(), await answers(known)) == (1, [])
    broken.clear()
    assert await retries.tick() == 1
    assert [answer.given for answer in await answers(known)] == ["no. 8"]
    assert await effects(known) == [8]


async def test_no_system_waits_for_what_another_asks_under_the_same_key(known: Database, asker: Asker) -> None:
    change = ChangeThing(thing_id=uuid4(), organisation_id=OURS, n=5, note=Sealed("x"))
    await set_aside(known, arrival(desk(asker).sign(change)))
    await take(known, arrival(asker.sign(change), offset=1))
    assert [answer.system for answer in await answers(known)] == ["member"]


async def test_answers_are_forgotten_after_their_days(known: Database, asker: Asker, owner: Owner) -> None:
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
