"""Postgres is restored to an earlier time, with Kafka ahead of it, and every service comes to the same truth (rel-R11).

The ten minutes are simulated: what counts is the work in between, some hundred commits under load, not the time.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest

from chassis.sealing import Place
from contracts.auth import AccountChanged, AccountErased
from deploy.local.folders import own_folder
from deploy.local.journey import code_in
from tests.conftest import given
from tests.flows.restoring import Day, restored_day

pytestmark = [pytest.mark.timeout(180), pytest.mark.goal("rel-R11")]


@pytest.fixture(scope="module")
async def day() -> AsyncIterator[Day]:
    with own_folder("test") as folder:
        async with restored_day(folder, given("SAMBAND_LOCAL_KAFKA")) as played:
            yield played


async def test_copies_of_accounts_equal_those_of_their_owner(day: Day) -> None:
    async with day.look() as conn:
        owned = await conn.fetch(
            "select id, auth.current_epoch() as epoch, version, active, address, language from auth.accounts order by id"
        )
        copied = await conn.fetch(
            "select account_id as id, epoch, version, active, address, language from notifications.contacts "
            "where address is not null order by account_id"
        )
    assert [tuple(row) for row in copied] == [tuple(row) for row in owned]
    assert 2 < len(owned) < day.accounts_before


async def test_the_ghosts_are_named_and_nothing_else_is(day: Day) -> None:
    *ghosts, last = day.said["auth outbox ghosts"]
    named = {UUID(line["ghost"]) for line in ghosts}
    in_kafka = {UUID(dict(record.headers)["ce_id"].decode()) for record in day.records}
    assert len(ghosts) == len(named) == last["ghosts"]
    assert len(day.surely_lost & in_kafka) > 100
    assert day.surely_lost & in_kafka <= named
    assert not day.surely_kept & named
    assert {line["type"] for line in ghosts} >= {AccountChanged.type, AccountErased.type, "auth.OtpRequested.v1"}


async def test_the_doctor_finds_all_well_afterwards(day: Day) -> None:
    for service, checks in (("auth", 9), ("notifications", 10)):
        *findings, last = day.said[f"{service} doctor"]
        assert last == {"ok": checks, "wrong": 0, "could_not_look": 0, "not_looked_at": 0}, findings


async def test_no_version_goes_back_and_each_means_one_thing(day: Day) -> None:
    histories: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    meanings: dict[tuple[bytes, int, int], set[tuple[Any, ...]]] = defaultdict(set)
    for record in day.records:
        version, meaning = _read(day, record)
        histories[record.key].append(version)
        meanings[record.key, *version].add(meaning)
    assert all(history[-1] == max(history) for history in histories.values())
    assert [place for place, said in meanings.items() if len(said) > 1] == []
    epochs = {version[0] for history in histories.values() for version in history}
    assert epochs == {1, day.said["auth restored"][0]["epoch"]}


def _read(day: Day, record: Any) -> tuple[tuple[int, int], tuple[Any, ...]]:
    headers = {name: value.decode() for name, value in record.headers}
    if headers["ce_type"] == AccountErased.type:
        erased = AccountErased.model_validate_json(record.value)
        return (erased.epoch, erased.version), ()
    changed = AccountChanged.model_validate_json(record.value)
    opened = [
        day.keyring.open(sealed.token, Place(headers["ce_id"], AccountChanged.type, name))
        for name, sealed in changed.seals().items()
    ]
    return (changed.epoch, changed.version), (changed.active, *opened)


async def test_what_is_published_after_the_restore_has_higher_sequence_numbers_than_anything_before(day: Day) -> None:
    epoch = day.said["auth restored"][0]["epoch"]
    new = [int(dict(record.headers)["ce_sequence"]) for record in day.records if _read(day, record)[0][0] == epoch]
    assert len(new) > 50
    assert min(new) > day.highest_sequence
    assert len(new) == len(set(new))


async def test_who_was_erased_in_the_lost_time_is_erased_again(day: Day) -> None:
    again = [
        UUID(line["subject"])
        for line in day.said["auth outbox ghosts"][:-1]
        if line["settled"] == "account erased again"
    ]
    assert again
    async with day.look() as conn:
        assert await conn.fetchval("select count(*) from auth.accounts where id = any($1)", again) == 0
        kept = await conn.fetch("select address from notifications.contacts where account_id = any($1)", again)
    assert [row["address"] for row in kept] == [None] * len(again)


async def test_no_mail_that_was_told_of_is_sent_again(day: Day) -> None:
    assert len(day.mailbox.mails.listed(to=day.people["late"].address)) == 1
    settled = [line["settled"] for line in day.said["notifications outbox ghosts"][:-1]]
    assert "mail noted as delivered" in settled


async def test_no_session_and_no_code_from_before_opens_a_door(day: Day) -> None:
    early = day.people["early"]
    assert (await early.who_am_i()).status_code == httpx2.codes.UNAUTHORIZED
    newest = day.mailbox.mails.listed(to=early.address)[0]
    assert (await early.redeem(code_in(newest))).status_code == httpx2.codes.FORBIDDEN
    assert day.said["auth restored"][0]["codes_ended"] >= 1
    assert day.said["auth restored"][0]["sessions_ended"] >= 1


async def test_people_log_in_again_at_the_address_of_the_restored_truth(day: Day) -> None:
    early = day.people["early"]
    before = len(day.mailbox.mails.listed(to=early.address))
    assert (await early.ask()).status_code == httpx2.codes.ACCEPTED
    mails = await day.mailbox.wait_for(before + 1, to=early.address, within=40)
    assert (await early.redeem(code_in(mails[0]))).status_code == httpx2.codes.CREATED


async def test_an_idempotency_key_of_the_backup_still_answers_and_a_lost_one_is_used_anew(day: Day) -> None:
    kept = await day.people["early"].ask(key="kept")
    assert (kept.status_code, kept.json()) == (httpx2.codes.ACCEPTED, day.asked["early"])
    anew = await day.people["other"].ask(key="lost")
    assert anew.status_code == httpx2.codes.ACCEPTED
    assert anew.json()["challenge_id"] != day.asked["other"]["challenge_id"]
