"""One code, one session: however many try it at once, and whatever fails between the count and the judgement."""

import asyncio
from collections import Counter

import pytest

from services.auth.codes import attempts, login_codes, store
from services.auth.codes.errors import WrongCode
from services.auth.codes.purposes import Purpose
from services.auth.sessions import store as sessions
from tests.auth.world import WRONG, Browser, Owner, World, age

KARI = "kari@example.no"
BOUNDLESS = {"tries_per_code": 10_000, "tries_per_quarter": 10_000, "failures_per_day": 10_000}


@pytest.mark.goal("sec-A3")
@pytest.mark.parametrize(("limits", "judged"), [({}, 5), (BOUNDLESS, 500)], ids=["within the limits", "all judged"])
async def test_500_parallel_submits_of_the_right_code_give_one_session(
    world: World, owner: Owner, limits: dict[str, int], judged: int
) -> None:
    world = world.limited(**limits)
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    answers = await asyncio.gather(*(_twin(browser).redeem(challenge, mail.code) for _ in range(500)))
    found = Counter(answer.status_code for answer in answers)
    assert found[201] == 1
    assert set(found) <= {201, 403, 429}
    assert found[403] >= judged - 1
    assert await owner.fetchval("select count(*) from auth.sessions") == 1
    assert await owner.fetchval("select count(*) from auth.code_attempts where succeeded") == 1


@pytest.mark.rule("G5")
@pytest.mark.goal("sec-A3")
async def test_all_codes_of_a_browser_submitted_at_once_give_one_session(world: World, owner: Owner) -> None:
    world = world.limited(**BOUNDLESS)
    await world.add(KARI)
    browser = world.browser()
    challenges = [await browser.ask(KARI) for _ in range(3)]
    await world.issue_all()
    codes = [mail.code for mail in await world.mails()] * 20
    answers = await asyncio.gather(*(_twin(browser).redeem(challenges[0], code) for code in codes))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 403: 59}
    assert await owner.fetchval("select count(*) from auth.sessions") == 1


@pytest.mark.goal("sec-A3")
async def test_a_try_counts_though_its_judgement_fails(
    world: World, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError

    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    with monkeypatch.context() as broken:
        broken.setattr(store, "use_code", fail)
        answers = [await browser.redeem(challenge, WRONG) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {500}
    assert await owner.fetchval("select tries from auth.challenges") == 5
    assert await owner.fetchval("select count(*) from auth.code_attempts where not succeeded") == 5
    assert (await browser.redeem(challenge, mail.code)).status_code == 429


@pytest.mark.goal("sec-A3")
async def test_a_log_in_that_fails_half_way_leaves_the_code_usable(
    world: World, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ConnectionResetError

    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    with monkeypatch.context() as broken:
        broken.setattr(sessions, "insert_session", fail)
        assert (await browser.redeem(challenge, mail.code)).status_code == 503
    assert await owner.fetchval("select count(*) from auth.known_devices") == 0
    assert (await browser.redeem(challenge, mail.code)).status_code == 201
    assert await owner.fetchval("select array_agg(succeeded order by id) from auth.code_attempts") == [False, True]


@pytest.mark.goal("sec-A1")
async def test_a_code_that_expires_between_its_count_and_its_judgement_is_refused(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = world.browser()
    _, mail = await world.asked(KARI, browser)
    name = browser.cookies["__Host-browser"]
    async with world.database.transaction() as conn:
        attempt = await attempts.count(
            conn, mail.challenge_id, Purpose.LOGIN, browser=name, limits=world.limits, keys=world.keys
        )
    assert attempt.challenges == (mail.challenge_id,)
    await age(owner, "challenges", minutes=10)
    with pytest.raises(WrongCode):
        async with world.database.transaction() as conn:
            await login_codes.redeem(conn, attempt, mail.code, keys=world.keys, chance=world.chance)


def _twin(browser: Browser) -> Browser:
    """Give another tab of the browser: the same cookies, kept apart."""
    return Browser(browser.app, browser.source, dict(browser.cookies))
