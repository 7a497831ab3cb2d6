"""Refresh tokens: each is good for one exchange; a copy that is used ends the chain and its session (sec-A12)."""

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import httpx2
import pytest

from services.auth.sessions import refresh_tokens
from tests.auth.sessions.test_access_tokens import read
from tests.auth.sessions.test_sessions import voided
from tests.auth.standing import COMPANY_USER, NAME, let_act, publish
from tests.auth.world import Browser, Owner, World, age

KARI = "kari@example.no"

pytestmark = pytest.mark.goal("sec-A12")


async def first_of(browser: Browser) -> str:
    answer = await browser.send("POST", "/v1/refresh-tokens")
    assert answer.status_code == 201
    return str(answer.json()["refresh_token"])


async def exchange(browser: Browser, token: str, audience: str = "cases") -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "audience": audience}
    return await Browser(browser.app, browser.source).send("POST", "/v1/oauth/token", data=form)


def declined(answer: httpx2.Response) -> tuple[int, str]:
    told = answer.json()
    assert set(told) == {"error", "error_description"}
    return answer.status_code, told["error"]


async def later(owner: Owner, seconds: float) -> None:
    await owner.execute(
        "update auth.refresh_families set rotated_at = array("
        "select at - make_interval(secs => $1) from unnest(rotated_at) with ordinality as each (at, n) order by n)",
        float(seconds),
    )


async def test_each_token_gives_an_access_token_and_the_next(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    organisation = await let_act(owner, account.id, "cases.reporter")
    browser = await world.logged_in(KARI)
    token, seen = await first_of(browser), set()
    for audience in ("cases", "auth", "recruitment"):
        answer = await exchange(browser, token, audience)
        given = answer.json()
        claims = read(world, given["access_token"], audience)
        assert (answer.status_code, given["token_type"], given["expires_in"]) == (200, "Bearer", 60)
        assert (claims.account_id, claims.organisation_id) == (account.id, organisation)
        assert answer.headers["cache-control"] == "no-store"
        seen.add(token := given["refresh_token"])
    assert len(seen) == 3


async def test_two_tabs_that_present_one_token_at_once_go_on_with_the_same_next(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    for _ in range(3):
        answers = await asyncio.gather(exchange(browser, token), exchange(browser, token))
        assert [answer.status_code for answer in answers] == [200, 200]
        (token,) = {answer.json()["refresh_token"] for answer in answers}
    assert await voided(owner) == []
    assert (await browser.session()).status_code == 200


async def test_fifty_at_once_go_on_with_the_same_next(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    answers = await asyncio.gather(*(exchange(browser, token) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert await owner.fetchval("select latest from auth.refresh_families") == 2
    assert await voided(owner) == []


async def test_a_token_that_was_followed_10_seconds_ago_ends_the_chain_and_its_session(
    world: World, owner: Owner
) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    after = (await exchange(browser, token)).json()["refresh_token"]
    await later(owner, 9)
    assert (await exchange(browser, token)).status_code == 200
    await later(owner, 1)
    assert declined(await exchange(browser, token)) == (400, "invalid_grant")
    session_id = await owner.fetchval("select id from auth.sessions")
    assert await voided(owner) == [(session_id, None)]
    assert (await browser.session()).status_code == 401
    assert declined(await exchange(browser, after)) == (400, "invalid_grant")


async def test_a_tab_that_is_steps_behind_goes_on_for_10_seconds_on_the_same_tokens(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    given = [await first_of(browser)]
    for _ in range(9):
        given.append((await exchange(browser, given[-1])).json()["refresh_token"])
    behind = [(await exchange(browser, token)).json()["refresh_token"] for token in given[:-1]]
    assert behind == given[1:]
    assert await voided(owner) == []


async def test_a_token_steps_back_ends_the_chain_after_10_seconds_and_one_ten_steps_back_at_once(
    world: World, owner: Owner
) -> None:
    await world.add(KARI)
    for steps, seconds in ((2, 10), (11, 0)):
        browser = await world.logged_in(KARI)
        first = token = await first_of(browser)
        for _ in range(steps):
            token = (await exchange(browser, token)).json()["refresh_token"]
        await later(owner, seconds)
        assert declined(await exchange(browser, first)) == (400, "invalid_grant")
        assert declined(await exchange(browser, token)) == (400, "invalid_grant")
        assert (await browser.session()).status_code == 401
    assert len(await voided(owner)) == 2


async def test_a_copy_used_by_fifty_at_once_ends_the_session_once(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    await exchange(browser, token)
    await later(owner, 10)
    answers = await asyncio.gather(*(exchange(browser, token) for _ in range(50)))
    assert {declined(answer) for answer in answers} == {(400, "invalid_grant")}
    assert len(await voided(owner)) == 1


async def test_a_copy_ends_its_own_session_alone(world: World, owner: Owner) -> None:
    await world.add(KARI)
    robbed, other = await world.logged_in(KARI), await world.logged_in(KARI)
    token, theirs = await first_of(robbed), await first_of(other)
    await exchange(robbed, token)
    await later(owner, 10)
    assert declined(await exchange(robbed, token)) == (400, "invalid_grant")
    assert [(await exchange(other, theirs)).status_code, (await other.session()).status_code] == [200, 200]


@pytest.mark.goal("sec-A10")
async def test_an_exchange_is_a_use_of_the_session_and_ends_with_it(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    for _ in range(2):
        await age(owner, "uses of sessions", minutes=29)
        token = (await exchange(browser, token)).json()["refresh_token"]
    await age(owner, "uses of sessions", minutes=30)
    assert declined(await exchange(browser, token)) == (400, "invalid_grant")


@pytest.mark.goal("sec-A10")
@pytest.mark.parametrize(
    "end",
    [
        "update auth.sessions set ended_at = now()",
        "update auth.sessions set ends_at = now()",
        "update auth.accounts set active = false",
        "update auth.refresh_families set ended_at = now()",
        "delete from auth.sessions",
    ],
)
async def test_nothing_is_given_once_the_session_is_over(world: World, owner: Owner, end: str) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    await owner.execute(end)
    assert declined(await exchange(browser, token)) == (400, "invalid_grant")


async def test_a_token_that_is_declined_for_its_service_is_not_used_up(world: World, owner: Owner) -> None:
    await publish(world, "1")
    account = await world.add(KARI)
    await let_act(owner, account.id, COMPANY_USER)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    assert declined(await exchange(browser, token, "nobody")) == (400, "invalid_target")
    pending = await exchange(browser, token, "unionfees")
    assert declined(pending) == (400, "access_denied")
    assert NAME in pending.json()["error_description"]
    assert await owner.fetchval("select latest from auth.refresh_families") == 1
    await browser.send("POST", f"/v1/terms/{NAME}/acceptances", json={"version": "1", "accepted": True})
    assert (await exchange(browser, token, "unionfees")).status_code == 200


async def test_a_session_has_twenty_chains_at_most_also_when_they_are_begun_at_once(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    answers = await asyncio.gather(*(browser.send("POST", "/v1/refresh-tokens") for _ in range(25)))
    assert Counter(answer.status_code for answer in answers) == {201: 20, 429: 5}
    assert await owner.fetchval("select count(*) from auth.refresh_families") == 20
    assert (await first_of(await world.logged_in(KARI))).count(".") == 2


async def test_what_was_never_given_is_declined(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    family, number, proof = (await first_of(browser)).split(".")
    ahead = refresh_tokens._token(UUID(family), 2, world.keys)
    nobody_s = refresh_tokens._token(uuid4(), 1, world.keys)
    never = (
        "",
        "x",
        f"{family}.{number}",
        f"{family}.2.{proof}",
        f"{uuid4()}.1.{proof}",
        f"{family}.01.{proof}",
        f"{family}.{number}.{proof[:-1]}",
        f"{family}.{number}.{proof}.",
        f"{family.upper()}.{number}.{proof}",
        f" {family}.{number}.{proof}",
        ahead,
        nobody_s,
    )
    assert [declined(await exchange(browser, token))[0] for token in never] == [400] * len(never)
    assert await owner.fetchval("select (latest, ended_at is null) from auth.refresh_families") == (1, True)


async def test_after_a_restore_no_chain_goes_on(world: World) -> None:
    from services.auth import restore

    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = await first_of(browser)
    async with world.database.transaction() as conn:
        await restore.end_all(conn)
    assert declined(await exchange(browser, token)) == (400, "invalid_grant")
