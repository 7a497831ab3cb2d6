"""Blocks: five wrong passwords in a row and nothing is compared for 15 minutes, on every path; a known device goes on."""

import argparse
import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis import cli
from services.auth import commands
from services.auth.__main__ import SERVICE
from services.auth.passwords.hashing import Hashing
from tests.auth.world import PASSWORD, Owner, World, age
from tests.support.lengths import length

KARI, STRANGER, OLA = "kari@example.no", "stranger@example.no", "ola@example.no"
WRONG = "feil feil feil feil"
RESETS = "/v1/password-resets"


async def guess(world: World, login: str, times: int) -> None:
    """Guess from that many fresh browsers."""
    for browser in world.browsers(times):
        assert (await browser.log_in(login, WRONG)).status_code == 403


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Write down each comparison: whether it was with a password that is kept, or with nobody's."""
    found: list[bool] = []
    real = Hashing.matches

    def matches(self: Hashing, account_id: Any, password: str, kept: str | None) -> bool:
        found.append(kept is not None)
        return real(self, account_id, password, kept)

    monkeypatch.setattr(Hashing, "matches", matches)
    return found


@pytest.mark.rule("L7", "L11")
@pytest.mark.goal("sec-A7")
async def test_after_five_wrong_ones_in_a_row_the_right_one_is_refused_too(world: World) -> None:
    await world.add_with_password(KARI)
    await guess(world, KARI, 4)
    assert (await world.browser().log_in(KARI)).status_code == 201
    await guess(world, KARI, 5)
    assert (await world.browser().log_in(KARI)).status_code == 403


@pytest.mark.rule("L8", "L10")
@pytest.mark.goal("sec-A7", "sec-A8")
async def test_a_block_ends_by_itself_at_15_minutes_and_not_before(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI)
    await guess(world, KARI, 5)
    await age(owner, "blocks", minutes=14, seconds=45)
    assert (await world.browser().log_in(KARI)).status_code == 403
    await age(owner, "blocks", seconds=15)
    assert (await world.browser().log_in(KARI)).status_code == 201


@pytest.mark.rule("L10")
async def test_who_tries_while_blocked_is_not_blocked_for_longer(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI)
    await guess(world, KARI, 5)
    await age(owner, "blocks", minutes=10)
    await guess(world, KARI, 5)
    await age(owner, "blocks", minutes=5)
    assert (await world.browser().log_in(KARI)).status_code == 201


@pytest.mark.rule("L10")
async def test_after_a_block_five_more_may_be_tried(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI)
    await guess(world, KARI, 5)
    await age(owner, "blocks", minutes=15)
    await guess(world, KARI, 4)
    assert (await world.browser().log_in(KARI)).status_code == 201


@pytest.mark.rule("L11")
async def test_how_many_and_how_long_are_settings(world: World, owner: Owner) -> None:
    world = world.limited(tries_in_a_row=1, block_minutes=2)
    await world.add_with_password(KARI)
    await guess(world, KARI, 1)
    assert (await world.browser().log_in(KARI)).status_code == 403
    await age(owner, "blocks", minutes=2)
    assert (await world.browser().log_in(KARI)).status_code == 201


@pytest.mark.rule("L11")
@pytest.mark.goal("sec-A8")
async def test_a_stranger_cannot_keep_a_person_out_of_a_known_device(world: World) -> None:
    await world.add_with_password(KARI)
    known = world.browser()
    await known.log_in(KARI)
    await guess(world, KARI, 8)
    assert (await world.browser().log_in(KARI)).status_code == 403
    assert (await known.log_in(KARI)).status_code == 201
    assert (await world.browser().log_in(KARI)).status_code == 403, "the block of unknown devices goes on"


@pytest.mark.rule("L11")
async def test_a_known_device_has_a_count_of_its_own(world: World) -> None:
    await world.add_with_password(KARI)
    known = world.browser()
    await known.log_in(KARI)
    for _ in range(5):
        assert (await known.log_in(KARI, WRONG)).status_code == 403
    assert (await known.log_in(KARI)).status_code == 403
    assert (await world.browser().log_in(KARI)).status_code == 201


@pytest.mark.rule("L1", "L11")
async def test_the_address_and_the_user_name_of_a_person_are_counted_together(world: World) -> None:
    await world.add_with_password(KARI, user_name="kari")
    await guess(world, KARI, 3)
    await guess(world, "kari", 2)
    assert (await world.browser().log_in("KARI")).status_code == 403


@pytest.mark.goal("sec-A7")
@pytest.mark.parametrize(("login", "real"), [(KARI, 5), (STRANGER, 0)])
async def test_of_guesses_over_200_connections_five_are_compared_and_the_others_look_alike(
    world: World, owner: Owner, compared: list[bool], login: str, real: int
) -> None:
    world = world.limited(source_limit=1_000_000)
    await world.add_with_password(KARI)
    browsers, rounds = world.browsers(200), length(3, 50)
    answers = await asyncio.gather(*(browser.log_in(login, WRONG) for browser in browsers for _ in range(rounds)))
    many = 200 * rounds
    assert Counter(answer.status_code for answer in answers) == {403: many}
    assert Counter(compared) == ({True: 5, False: many - 5} if real else {False: many})
    assert await owner.fetchval("select failures from auth.blocks") == 5


@pytest.mark.goal("sec-A3")
async def test_a_guess_counts_though_its_comparison_fails(
    world: World, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError

    await world.add_with_password(KARI)
    with monkeypatch.context() as broken:
        broken.setattr(Hashing, "matches", fail)
        answers = [await browser.log_in(KARI, WRONG) for browser in world.browsers(5)]
    assert {answer.status_code for answer in answers} == {500}
    assert (await world.browser().log_in(KARI)).status_code == 403
    assert await owner.fetchval("select count(*) from auth.password_attempts where not succeeded") == 6


@pytest.mark.rule("L9")
@pytest.mark.goal("sec-A7", "sec-A9")
@pytest.mark.parametrize("path", ["/v1/login-codes", RESETS, "/v1/activations"])
async def test_while_blocked_no_code_is_mailed_and_one_from_before_opens_nothing(world: World, path: str) -> None:
    await world.add_with_password(KARI)
    await world.add_with_password(OLA)
    browser = world.browser()
    before, mail = await world.asked(KARI, browser, path)
    await guess(world, KARI, 5)
    asked, others = await browser.ask(KARI, path), await world.browser().ask(OLA, path)
    await world.issue_all()
    assert set(asked) == set(others)
    assert {str(each.challenge_id) for each in await world.mails()} == {before["challenge_id"], others["challenge_id"]}
    if path == "/v1/login-codes":
        answer, wrong = await browser.redeem(before, mail.code), await browser.redeem(before, "000000")
    else:
        answer = await browser.set_password(path, before, mail.code)
        wrong = await browser.set_password(path, before, "000000")
    assert answer.status_code == wrong.status_code == 403
    assert answer.json() | {"instance": ""} == wrong.json() | {"instance": ""}


@pytest.mark.rule("L9")
async def test_while_blocked_no_instructions_are_mailed_and_a_link_from_before_opens_nothing(
    world: World, owner: Owner
) -> None:
    await world.add_with_password(KARI, user_name="kari")
    browser = world.browser()
    await browser.send("POST", "/v1/password-instructions", json={"user_name": "kari"})
    await world.issue_all()
    (mail,) = await world.told("auth.PasswordInstructionsRequested.v1")
    await guess(world, KARI, 5)
    answer = await browser.send("POST", "/v1/password-instructions", json={"user_name": "kari"})
    await world.issue_all()
    assert answer.status_code == 202
    assert len(await world.told("auth.PasswordInstructionsRequested.v1")) == 1
    body = {"token": mail["token"], "new_password": PASSWORD, "confirmation": PASSWORD}
    assert (await browser.send("POST", "/v1/password-instructions/redemptions", json=body)).status_code == 403
    await owner.execute("delete from auth.blocks")
    assert (await browser.send("POST", "/v1/password-instructions/redemptions", json=body)).status_code == 204


@pytest.mark.rule("L9")
async def test_a_setting_lets_a_completed_reset_lift_the_block(world: World) -> None:
    world = world.limited(reset_lifts_block=True)
    await world.add_with_password(KARI)
    await guess(world, KARI, 5)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, RESETS)
    assert (await world.browser().log_in(KARI)).status_code == 403
    assert (await browser.set_password(RESETS, challenge, mail.code, "sju trapper til loftet")).status_code == 201
    assert (await world.browser().log_in(KARI, "sju trapper til loftet")).status_code == 201
    await guess(world, KARI, 5)
    await world.browser().ask(KARI)
    await world.issue_all()
    assert len(await world.mails()) == 1, "a code to log in with is no reset"


@pytest.mark.rule("L7", "L8")
async def test_the_person_is_told_once_of_a_block_with_its_end(world: World, owner: Owner) -> None:
    account = await world.add_with_password(KARI)
    await guess(world, KARI, 5)
    await guess(world, STRANGER, 5)
    await world.tell_all_blocks()
    assert await world.told("auth.AccountBlocked.v1") == [], "the fifth may still turn out right"
    await age(owner, "blocks", seconds=10)
    await asyncio.gather(*(world.tell_all_blocks() for _ in range(4)))
    (told,) = await world.told("auth.AccountBlocked.v1")
    left = datetime.fromisoformat(told["until"]) - datetime.now(UTC)
    assert (told["account_id"], told["account_version"]) == (str(account.id), 1)
    assert timedelta(minutes=13) < left < timedelta(minutes=15)


async def test_nobody_is_told_of_a_block_that_the_fifth_password_took_back(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI)
    await guess(world, KARI, 4)
    await world.browser().log_in(KARI)
    await world.tell_all_blocks()
    assert await owner.fetchval("select count(*) from auth.blocks") == 0
    assert await world.told("auth.AccountBlocked.v1") == []


async def test_an_inactive_person_is_told_of_no_block(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI)
    await owner.execute("update auth.accounts set active = false")
    await guess(world, KARI, 5)
    await age(owner, "blocks", seconds=10)
    await world.tell_all_blocks()
    assert await world.told("auth.AccountBlocked.v1") == []


async def test_no_more_than_three_mails_a_day_tell_of_blocks(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI)
    for _ in range(5):
        await guess(world, KARI, 5)
        await age(owner, "blocks", seconds=10)
        await world.tell_all_blocks()
        await age(owner, "blocks", minutes=15)
    assert len(await world.told("auth.AccountBlocked.v1")) == 3
    await age(owner, "block_notices", hours=24)
    await guess(world, KARI, 5)
    await age(owner, "blocks", seconds=10)
    await world.tell_all_blocks()
    assert len(await world.told("auth.AccountBlocked.v1")) == 4


async def run(world: World, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    given: argparse.Namespace = cli.parser(SERVICE, commands.COMMANDS).parse_args(["blocks", *words])
    code = await given.work(world.runtime, given)
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines() if "event" not in line]


async def test_operators_list_and_lift_blocks(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    account = await world.add_with_password(KARI)
    await guess(world, KARI, 5)
    await guess(world, STRANGER, 5)
    code, listed = await run(world, capsys, "list")
    assert (code, [line["account_id"] for line in listed]) == (0, [str(account.id)])
    assert await run(world, capsys, "lift", str(account.id), "--reason", "rang, and was known by name") == (
        0,
        [{"account_id": str(account.id), "lifted": 1}],
    )
    assert (await world.browser().log_in(KARI)).status_code == 201
    assert await run(world, capsys, "lift", str(account.id), "--reason", "again") == (
        1,
        [{"account_id": str(account.id), "lifted": 0}],
    )


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "x" * 201])
def test_a_block_is_lifted_for_a_reason_in_one_line(reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parser(SERVICE, commands.COMMANDS).parse_args(
            ["blocks", "lift", "01890000-0000-7000-8000-000000000000", "--reason", reason]
        )
    assert "--reason" in capsys.readouterr().err
