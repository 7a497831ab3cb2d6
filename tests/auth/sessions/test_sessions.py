"""Sessions: how long they last, what ends them, and what of them is kept."""

import pytest

from tests.auth.world import Owner, World, age

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
