"""Sessions: how long they last, what ends them, and what of them is kept."""

from uuid import UUID

import pytest

from contracts.auth import TokensVoided
from tests.auth.world import WRONG, Owner, World, age

KARI = "kari@example.no"


async def test_a_session_says_who_is_logged_in(world: World) -> None:
    account = await world.add(KARI, "nn")
    answer = await (await world.logged_in(KARI)).session()
    shown = answer.json()
    assert answer.status_code == 200
    assert shown == shown | {"account_id": str(account.id), "address": KARI, "language": "nn", "assurance": "low"}


async def test_a_session_that_rests_for_30_minutes_is_over(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    for _ in range(2):  # Each use begins the half hour anew.
        await age(owner, "uses of sessions", minutes=29)
        assert (await browser.session()).status_code == 200
    await age(owner, "uses of sessions", minutes=30)
    assert (await browser.session()).status_code == 401


async def test_a_session_ends_after_8_hours_however_much_it_is_used(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    await age(owner, "sessions", hours=7, minutes=59)
    assert (await browser.session()).status_code == 200
    await age(owner, "sessions", minutes=1)
    assert (await browser.session()).status_code == 401


async def test_logging_out_ends_the_session_and_its_token_for_good(world: World) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = browser.cookies["__Host-session"]
    assert (await browser.send("DELETE", "/v1/session")).status_code == 204
    assert "__Host-session" not in browser.cookies
    browser.cookies["__Host-session"] = token
    assert (await browser.session()).status_code == 401
    assert (await browser.send("DELETE", "/v1/session")).status_code == 204


async def test_logging_out_ends_no_other_session(world: World) -> None:
    await world.add(KARI)
    here, there = await world.logged_in(KARI), await world.logged_in(KARI)
    await here.send("DELETE", "/v1/session")
    assert [(await browser.session()).status_code for browser in (here, there)] == [401, 200]


async def test_each_log_in_gives_another_token(world: World) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    first = browser.cookies["__Host-session"]
    challenge, mail = await world.asked(KARI, browser)
    await browser.redeem(challenge, mail.code)
    assert browser.cookies["__Host-session"] != first


async def test_an_account_that_is_deactivated_is_out_at_once(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    await owner.execute("update auth.accounts set active = false")
    assert (await browser.session()).status_code == 401


@pytest.mark.parametrize("token", [None, "nobody-s", "x" * 100])
async def test_whoever_has_no_session_is_told_to_ask_for_a_code(world: World, token: str | None) -> None:
    browser = world.browser()
    if token:
        browser.cookies["__Host-session"] = token
    answer = await browser.session()
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:samband:auth:not-logged-in")
    assert "Ask for a code" in answer.json()["detail"]


async def test_only_a_keyed_digest_of_the_token_is_kept(world: World, owner: Owner) -> None:
    await world.add(KARI)
    token = (await world.logged_in(KARI)).cookies["__Host-session"]
    (row,) = await owner.fetch("select token_digest, s::text as whole from auth.sessions s")
    assert row["token_digest"] == world.keys.digest("session", token)
    assert token not in row["whole"]


@pytest.mark.goal("sec-A16")
@pytest.mark.goal("sec-A10")
async def test_a_log_in_ends_the_session_that_the_browser_came_with(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    before = browser.cookies["__Host-session"]
    challenge, mail = await world.asked(KARI, browser)
    assert (await browser.redeem(challenge, mail.code)).status_code == 201
    planted = world.browser()
    planted.cookies["__Host-session"] = before
    assert [(await each.session()).status_code for each in (browser, planted)] == [200, 401]
    first = await owner.fetchval("select id from auth.sessions order by started_at limit 1")
    assert await voided(owner) == [(first, None)]


@pytest.mark.goal("sec-A16")
async def test_a_log_in_that_is_refused_leaves_the_session_of_the_browser_alone(world: World) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    challenge, _ = await world.asked(KARI, browser)
    assert (await browser.redeem(challenge, WRONG)).status_code == 403
    assert (await browser.session()).status_code == 200


@pytest.mark.goal("sec-A10")
async def test_logging_out_voids_the_tokens_of_the_session_once(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = browser.cookies["__Host-session"]
    for _ in range(2):
        browser.cookies["__Host-session"] = token
        await browser.send("DELETE", "/v1/session")
    (session_id,) = [row["id"] for row in await owner.fetch("select id from auth.sessions")]
    assert await voided(owner) == [(session_id, None)]


async def voided(owner: Owner) -> list[tuple[UUID | None, int | None]]:
    """Give what was told to be void, in order: a session, or what is below an epoch."""
    rows = await owner.fetch("select payload from auth.outbox where type = $1 order by id", TokensVoided.type)
    told = [TokensVoided.model_validate_json(row["payload"]) for row in rows]
    return [(each.session_id, each.below_epoch) for each in told]
