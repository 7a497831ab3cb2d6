"""Nobody learns who has an account: what is answered, and when, is alike for members, strangers and the rest."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.auth.world import WRONG, Browser, Owner, World

KNOWN, UNKNOWN, INACTIVE, LIMITED = "known@example.no", "alien@example.no", "sleep@example.no", "limit@example.no"
ADDRESSES = (KNOWN, UNKNOWN, INACTIVE, LIMITED)
OWN_WORDS = (
    r"token-\d+",
    r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    r"[0-9a-f]{8}-[0-9a-f-]{27}",
    r'(?<="reference":")[A-Z0-9]{4}',
    "|".join(ADDRESSES),
)
"""What is each answer's own: tokens, times, ids, references and the address that was typed."""


@pytest.fixture
async def peopled(world: World, owner: Owner) -> World:
    """Give a world with a member, an inactive member, and one whose codes of the quarter have been issued."""
    for address in (KNOWN, INACTIVE, LIMITED):
        await world.add(address)
    await owner.execute("update auth.accounts set active = false where address = $1", INACTIVE)
    for browser in world.browsers(3):
        await browser.ask(LIMITED)
    await world.issue_all()
    return world


@pytest.fixture
async def accounts_are_closed(peopled: World, owner: Owner) -> AsyncIterator[None]:
    """Let auth read no table that tells who has an account."""
    await owner.execute("revoke select on auth.accounts, auth.known_devices, auth.sessions from auth_app")
    yield
    await owner.execute("grant select on auth.accounts, auth.known_devices, auth.sessions to auth_app")


def shape(answer: httpx2.Response) -> tuple[int, str, list[tuple[str, str]]]:
    """Give status, body and headers, in order, with each answer's own words masked."""
    headers = [(name, _masked(value)) for name, value in answer.headers.multi_items()]
    return answer.status_code, _masked(answer.text), headers


def _masked(text: str) -> str:
    for own in OWN_WORDS:
        text = re.sub(own, "…", text)
    return text


async def ask(browser: Browser, address: str) -> httpx2.Response:
    return await browser.send("POST", "/v1/login-codes", json={"address": address})


@pytest.mark.goal("sec-A9")
async def test_asking_is_answered_alike_whoever_has_the_address(peopled: World) -> None:
    browsers = peopled.browsers(4)
    for _ in range(5):
        shapes = [shape(await ask(browser, address)) for browser, address in zip(browsers, ADDRESSES, strict=True)]
        assert shapes == shapes[:1] * 4
        assert shapes[0][0] == 202
        await peopled.issue_all()
    listed = [shape(await browser.send("GET", "/v1/login-codes")) for browser in browsers]
    assert listed == listed[:1] * 4


@pytest.mark.goal("sec-A9")
async def test_a_code_that_is_no_good_is_refused_alike_whoever_has_the_address(peopled: World) -> None:
    browsers = peopled.browsers(4)
    challenges = [await browser.ask(address) for browser, address in zip(browsers, ADDRESSES, strict=True)]
    await peopled.issue_all()
    statuses = []
    for _ in range(7):
        tries = [await browser.redeem(asked, WRONG) for browser, asked in zip(browsers, challenges, strict=True)]
        assert [shape(answer) for answer in tries] == [shape(tries[0])] * 4
        statuses.append(tries[0].status_code)
    assert statuses == [403] * 5 + [429] * 2


@pytest.mark.goal("sec-A9")
async def test_an_address_that_was_tried_too_often_is_refused_alike_whoever_has_it(peopled: World) -> None:
    shapes = [[shape(answer) for answer in await _tried(peopled, address, 11)] for address in ADDRESSES]
    assert shapes == shapes[:1] * 4
    assert [status for status, _, _ in shapes[0]] == [403] * 10 + [429]


async def _tried(world: World, address: str, times: int) -> list[httpx2.Response]:
    answers = []
    for browser in world.browsers(times):
        challenge = await browser.ask(address)
        await world.issue_all()
        answers.append(await browser.redeem(challenge, WRONG))
    return answers


@pytest.mark.goal("sec-A9")
async def test_another_browser_s_challenge_and_one_that_never_was_are_refused_alike(peopled: World) -> None:
    stranger = peopled.browser()
    await stranger.ask(KNOWN)
    asked = [await peopled.browser().ask(address) for address in ADDRESSES]
    invented: dict[str, Any] = {"challenge_id": "01890000-0000-7000-8000-000000000000"}
    answers = [await stranger.redeem(challenge, WRONG) for challenge in (*asked, invented)]
    assert [shape(answer) for answer in answers] == [shape(answers[0])] * 5
    assert answers[0].status_code == 403


@pytest.mark.goal("sec-A9")
@pytest.mark.usefixtures("accounts_are_closed")
async def test_nobody_looks_at_accounts_before_an_ask_is_answered(peopled: World) -> None:
    for browser, address in zip(peopled.browsers(4), ADDRESSES, strict=True):
        asked = await ask(browser, address)
        assert asked.status_code == 202
        assert len(await browser.listed()) == 1
        assert (await browser.redeem(asked.json(), WRONG)).status_code == 500, "whoever looks must be caught"


@pytest.mark.goal("sec-A9")
async def test_a_mail_goes_to_members_alone(peopled: World) -> None:
    before = len(await peopled.mails())
    asked = [await browser.ask(address) for browser, address in zip(peopled.browsers(4), ADDRESSES, strict=True)]
    await peopled.issue_all()
    assert [str(mail.challenge_id) for mail in (await peopled.mails())[before:]] == [asked[0]["challenge_id"]]
