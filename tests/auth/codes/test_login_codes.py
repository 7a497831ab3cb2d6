"""Login codes: who gets one, what is told of it, and which browser it opens."""

import asyncio
import json
from uuid import UUID

import pytest

from chassis.sealing import CannotOpen, Place
from tests.auth.world import WRONG, Owner, World, age
from tests.conftest import Clone

KARI = "kari@example.no"


@pytest.mark.goal("sec-A1")
async def test_a_code_logs_in_once(world: World) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    first, second = await browser.redeem(challenge, mail.code), await browser.redeem(challenge, mail.code)
    assert (first.status_code, second.status_code) == (201, 403)
    assert first.json()["address"] == KARI
    assert second.json()["type"] == "urn:samband:auth:wrong-code"


@pytest.mark.rule("G2")
async def test_the_code_goes_to_the_address_that_was_typed_and_the_answer_shows_it(world: World) -> None:
    kari, ola = await world.add(KARI), await world.add("ola@example.no")
    challenge, mail = await world.asked(" Ola@Example.no ", world.browser())
    assert challenge["address"] == ola.address == "ola@example.no"
    assert (mail.account_id, mail.reference) == (ola.id, challenge["reference"])
    assert kari.id not in {mail.account_id for mail in await world.mails()}


@pytest.mark.goal("sec-A1")
async def test_leading_zeros_are_part_of_the_code(world: World) -> None:
    await world.add(KARI)
    world.chance.codes.append("000042")
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    assert mail.code == "000042"
    assert (await browser.redeem(challenge, "42")).status_code == 422
    assert (await browser.redeem(challenge, "000 042")).status_code == 201


@pytest.mark.goal("sec-A1", "sec-P1")
async def test_a_code_is_kept_nowhere_in_the_clear(world: World, owner: Owner) -> None:
    await world.add(KARI)
    world.chance.codes.append("canary-271828")
    challenge, mail = await world.asked(KARI, world.browser())
    assert mail.code == "canary-271828"
    assert await _tables_with(owner, "canary") == set()
    assert await _tables_with(owner, challenge["reference"]) == {"challenges", "outbox"}


async def _tables_with(owner: Owner, text: str) -> set[str]:
    """Name the tables of auth's schema in which any column holds the text, as characters or as bytes."""
    tables = await owner.fetch("select tablename from pg_tables where schemaname = 'auth'")
    found = set()
    for (table,) in tables:
        for row in await owner.fetch(f"select * from auth.{table}"):  # noqa: S608 -- a name that the catalogue gave.
            if any(text.encode() in (value if isinstance(value, bytes) else str(value).encode()) for value in row):
                found.add(table)
    return found


@pytest.mark.goal("sec-A1")
async def test_a_code_works_only_in_the_browser_that_asked(world: World) -> None:
    await world.add(KARI)
    mine, other = world.browser(), world.browser()
    challenge, mail = await world.asked(KARI, mine)
    await other.ask(KARI)
    refused, wrong = await other.redeem(challenge, mail.code), await mine.redeem(challenge, WRONG)
    assert refused.status_code == wrong.status_code == 403
    assert refused.json() | {"instance": ""} == wrong.json() | {"instance": ""}
    assert (await world.browser().redeem(challenge, mail.code)).status_code == 403
    assert (await mine.redeem(challenge, mail.code)).status_code == 201


@pytest.mark.rule("G5")
@pytest.mark.goal("sec-A1")
@pytest.mark.parametrize(("named", "typed"), [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (1, 2)])
async def test_every_code_that_this_browser_asked_for_counts_until_it_expires(
    world: World, named: int, typed: int
) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenges = [await browser.ask(KARI) for _ in range(3)]
    await world.issue_all()
    mails = [await world.mail_of(challenge) for challenge in challenges]
    assert [shown["reference"] for shown in await browser.listed()] == [mail.reference for mail in reversed(mails)]
    assert (await browser.redeem(challenges[named], mails[typed].code)).status_code == 201
    assert await browser.listed() == []


@pytest.mark.rule("G5")
async def test_logging_in_uses_up_the_other_codes_of_this_browser(world: World) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenges = [await browser.ask(KARI) for _ in range(2)]
    await world.issue_all()
    codes = [mail.code for mail in await world.mails()]
    answers = [await browser.redeem(challenge, code) for challenge, code in zip(challenges, codes, strict=True)]
    assert [answer.status_code for answer in answers] == [201, 403]


@pytest.mark.rule("G5")
@pytest.mark.goal("sec-A1")
async def test_a_code_that_arrives_late_works_until_it_expires_and_then_never(world: World, owner: Owner) -> None:
    await world.add(KARI)
    punctual, late = world.browser(), world.browser()
    (first, first_mail), (second, second_mail) = await world.asked(KARI, punctual), await world.asked(KARI, late)
    await age(owner, "challenges", minutes=9, seconds=45)
    assert (await punctual.redeem(first, first_mail.code)).status_code == 201
    await age(owner, "challenges", seconds=15)
    assert (await late.redeem(second, second_mail.code)).status_code == 403
    assert await late.listed() == []


@pytest.mark.goal("sec-P1")
async def test_what_is_told_of_a_code_names_no_address_and_opens_for_notifications_alone(
    world: World, clone: Clone
) -> None:
    await world.add(KARI)
    browser = world.browser()
    for _ in range(2):
        await browser.ask(KARI)
    await world.issue_all()
    async with world.database.transaction() as conn:
        rows = await conn.fetch("select * from outbox where type = 'auth.OtpRequested.v1' order by id")
    assert not any(b"@" in row["payload"] or "@" in row["headers"] or row["keeps_payload"] for row in rows)
    token = json.loads(rows[0]["payload"])["code"]
    here, elsewhere = (Place(str(row["message_id"]), row["type"], "code") for row in rows)
    assert world.reader.open(token, here) == (await world.mails())[0].code
    for keyring, place in (
        (clone.cluster.keyring("auth"), here),
        (clone.cluster.keyring("things"), here),
        (world.reader, elsewhere),
    ):
        with pytest.raises(CannotOpen):
            keyring.open(token, place)


async def test_a_stranger_s_challenge_ends_without_a_code_or_a_word(world: World, owner: Owner) -> None:
    await world.browser().ask("stranger@example.no")
    assert await world.issue_next()
    assert not await world.issue_next()
    assert await owner.fetchval("select count(*) from auth.outbox") == 0
    row = await owner.fetchrow("select settled_at is not null, account_id, code_digest from auth.challenges")
    assert row is not None
    assert tuple(row) == (True, None, None)


async def test_a_code_is_issued_for_the_state_that_the_account_is_in(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    await owner.execute("update auth.accounts set version = 7")
    _, mail = await world.asked(KARI, world.browser())
    assert (mail.account_id, mail.account_version) == (account.id, 7)


async def test_a_challenge_that_nobody_dealt_with_in_time_gets_no_code(world: World, owner: Owner) -> None:
    await world.add(KARI)
    await world.browser().ask(KARI)
    await age(owner, "challenges", minutes=10)
    await world.issue_all()
    assert await world.mails() == []


async def test_no_code_is_issued_to_a_browser_that_has_logged_in_meanwhile(world: World) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    await browser.ask(KARI)
    await browser.redeem(challenge, mail.code)
    await world.issue_all()
    assert await world.mails() == [mail]


async def test_an_inactive_account_gets_no_code_and_uses_none(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    await owner.execute("update auth.accounts set active = false")
    await browser.ask(KARI)
    await world.issue_all()
    assert len(await world.mails()) == 1
    assert (await browser.redeem(challenge, mail.code)).status_code == 403


async def test_a_code_whose_issuing_fails_is_issued_by_the_next_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ConnectionResetError

    await world.add(KARI)
    challenge = await world.browser().ask(KARI)
    with monkeypatch.context() as broken, pytest.raises(ConnectionResetError):
        broken.setattr("chassis.outbox.add", fail)
        await world.issue_next()
    assert await world.mails() == []
    await world.issue_all()
    assert [mail.challenge_id for mail in await world.mails()] == [UUID(challenge["challenge_id"])]


async def test_workers_side_by_side_issue_each_code_once_and_none_too_many(world: World) -> None:
    await world.add(KARI)
    for browser in world.browsers(10):
        await browser.ask(KARI)
    await asyncio.gather(*(world.issue_all() for _ in range(8)))
    mails = await world.mails()
    assert len(mails) == len({mail.challenge_id for mail in mails}) == 3
