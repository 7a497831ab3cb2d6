"""Limits: how often a code may be tried and asked for, and who is not held back by whom."""

import asyncio
from collections import Counter
from ipaddress import ip_network

import pytest

from services.auth.codes import challenges
from services.auth.codes.purposes import Purpose
from services.auth.limits import Limits
from services.auth.people.user_names import read_login
from tests.auth.world import WRONG, Owner, World, age

KARI, STRANGER = "kari@example.no", "stranger@example.no"


async def guess(world: World, address: str, times: int) -> list[int]:
    """Try a wrong code from that many fresh browsers, each with a fresh challenge; give the statuses."""
    return [(await browser.redeem(await browser.ask(address), WRONG)).status_code for browser in world.browsers(times)]


@pytest.mark.goal("sec-A2")
async def test_a_challenge_takes_five_tries_and_then_not_even_the_right_code(world: World) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    tries = [(await browser.redeem(challenge, WRONG)).status_code for _ in range(5)]
    beyond = await browser.redeem(challenge, mail.code)
    assert tries == [403] * 5
    assert (beyond.status_code, beyond.headers["retry-after"]) == (429, "900")
    fresh, fresh_mail = await world.asked(KARI, browser)
    assert (await browser.redeem(fresh, mail.code)).status_code == 403
    assert (await browser.redeem(fresh, fresh_mail.code)).status_code == 201


@pytest.mark.goal("sec-A2")
@pytest.mark.parametrize("address", [KARI, STRANGER])
async def test_an_address_takes_ten_tries_in_15_minutes_over_fresh_challenges_and_browsers(
    world: World, owner: Owner, address: str
) -> None:
    await world.add(KARI)
    assert await guess(world, address, 12) == [403] * 10 + [429] * 2
    await age(owner, "code_attempts", minutes=15)
    assert await guess(world, address, 1) == [403]


@pytest.mark.goal("sec-A2")
async def test_the_right_code_is_refused_too_once_ten_were_tried(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    await guess(world, KARI, 10)
    assert (await browser.redeem(challenge, mail.code)).status_code == 429
    await age(owner, "code_attempts", minutes=15)
    assert (await browser.redeem(challenge, mail.code)).status_code == 201


@pytest.mark.goal("sec-A2")
@pytest.mark.parametrize("address", [KARI, STRANGER])
async def test_an_address_takes_20_failures_a_day(world: World, owner: Owner, address: str) -> None:
    await world.add(KARI)
    for _ in range(2):
        assert await guess(world, address, 10) == [403] * 10
        await age(owner, "code_attempts", hours=1)
    assert await guess(world, address, 2) == [429] * 2
    await age(owner, "code_attempts", hours=22)
    assert await guess(world, address, 11) == [403] * 10 + [429]


@pytest.mark.goal("sec-A2")
async def test_what_succeeded_is_no_failure_of_the_day(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    await owner.execute(
        "insert into auth.code_attempts (subject, challenge_id, tried_at, succeeded) "
        "select subject, challenge_id, now() - interval '2 hours', true from auth.code_attempts, generate_series(1, 30)"
    )
    challenge, mail = await world.asked(KARI, browser)
    assert (await browser.redeem(challenge, mail.code)).status_code == 201
    assert await guess(world, KARI, 1) == [403]


@pytest.mark.goal("sec-A2")
async def test_a_stranger_cannot_lock_a_person_out_of_a_known_device(world: World) -> None:
    await world.add(KARI)
    known = await world.logged_in(KARI)
    guesses = await guess(world, KARI, 20)
    await world.issue_all()
    assert guesses == [403] * 9 + [429] * 11  # The log-in was the first of the ten tries.
    challenge, mail = await world.asked(KARI, known)
    assert (await known.redeem(challenge, mail.code)).status_code == 201


@pytest.mark.goal("sec-A2")
async def test_a_try_at_another_browser_s_challenge_counts_against_nobody(world: World, owner: Owner) -> None:
    await world.add(KARI)
    mine, other = world.browser(), world.browser()
    challenge, mail = await world.asked(KARI, mine)
    await other.ask(KARI)
    assert [(await other.redeem(challenge, WRONG)).status_code for _ in range(11)] == [403] * 11
    assert await owner.fetchval("select count(*) from auth.code_attempts") == 0
    assert await owner.fetchval("select sum(tries) from auth.challenges") == 0
    assert (await mine.redeem(challenge, mail.code)).status_code == 201


@pytest.mark.goal("sec-A2")
async def test_a_known_device_has_a_count_of_its_own(world: World) -> None:
    await world.add(KARI)
    known = await world.logged_in(KARI)
    guesses = [(await known.redeem(await known.ask(KARI), WRONG)).status_code for _ in range(11)]
    assert guesses == [403] * 10 + [429]
    assert await guess(world, KARI, 1) == [403]


@pytest.mark.goal("sec-A2")
async def test_a_device_is_known_to_the_account_that_logged_in_there_alone(world: World) -> None:
    await world.add(KARI)
    await world.add("ola@example.no")
    known_to_ola = await world.logged_in("ola@example.no")
    await guess(world, KARI, 10)
    assert (await known_to_ola.redeem(await known_to_ola.ask(KARI), WRONG)).status_code == 429


@pytest.mark.goal("sec-A2")
@pytest.mark.parametrize("address", [KARI, STRANGER])
async def test_200_parallel_guesses_over_fresh_challenges_are_judged_ten_times(
    world: World, owner: Owner, address: str
) -> None:
    await world.add(KARI)
    browsers = world.browsers(200)
    challenges = await asyncio.gather(*(browser.ask(address) for browser in browsers))
    tries = (browser.redeem(challenge, WRONG) for browser, challenge in zip(browsers, challenges, strict=True))
    answers = await asyncio.gather(*tries)
    assert Counter(answer.status_code for answer in answers) == {403: 10, 429: 190}
    assert await owner.fetchval("select count(*) from auth.code_attempts") == 10


@pytest.mark.goal("sec-A4")
async def test_a_thousand_asks_for_an_address_owe_three_codes_and_are_answered_alike(
    world: World, owner: Owner
) -> None:
    world = world.limited(source_limit=10_000)
    await world.add(KARI)
    answers = await asyncio.gather(*(browser.ask(KARI) for browser in world.browsers(1_000)))
    await asyncio.gather(*(world.issue_all() for _ in range(4)))
    assert len(await world.mails()) == 3
    assert {tuple(answer) for answer in answers} == {tuple(answers[0])}
    assert {(answer["address"], answer["sender"]) for answer in answers} == {(KARI, world.settings.mail_sender)}
    await age(owner, "challenges", minutes=15)
    await world.asked(KARI, world.browser())
    assert len(await world.mails()) == 4


@pytest.mark.goal("sec-A4")
async def test_a_known_device_gets_three_codes_in_15_minutes_too(world: World) -> None:
    await world.add(KARI)
    known = await world.logged_in(KARI)
    for _ in range(10):
        await known.ask(KARI)
    await world.issue_all()
    assert len(await world.mails()) == 3


@pytest.mark.goal("sec-A4")
async def test_the_301st_ask_from_a_source_in_an_hour_gets_no_code(world: World, owner: Owner) -> None:
    for name in ("kari", "ola", "per"):
        await world.add(f"{name}@example.no")
    await _fill_source(world, "198.51.100.7", 299)
    for source, name in (("198.51.100.7", "kari"), ("198.51.100.7", "ola"), ("198.51.100.8", "per")):
        answer = await world.browser(source).ask(f"{name}@example.no")
        assert answer["address"] == f"{name}@example.no"
    await world.issue_all()
    told = {mail.account_id for mail in await world.mails()}
    rows = await owner.fetch("select address from auth.accounts where id = any($1)", told)
    assert {row["address"] for row in rows} == {"kari@example.no", "per@example.no"}
    await age(owner, "challenges", hours=1)
    await world.browser("198.51.100.7").ask("ola@example.no")
    await world.issue_all()
    assert len(await world.mails()) == 3


@pytest.mark.goal("sec-A4")
async def test_an_ipv6_subscriber_is_one_source_whatever_the_address(world: World) -> None:
    world = world.limited(source_limit=2)
    for source in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:3::3", "2001:db8:0:1::4"):
        await world.add(f"n{source[-1]}@example.no")
        await world.browser(source).ask(f"n{source[-1]}@example.no")
    await world.issue_all()
    assert len(await world.mails()) == 3


@pytest.mark.goal("sec-A4")
async def test_a_flood_from_one_source_keeps_nobody_waiting(world: World) -> None:
    world = world.limited(source_limit=10)
    await world.add(KARI)
    await _fill_source(world, "198.51.100.7", 50)
    await world.browser("198.51.100.8").ask(KARI)
    settled = 0
    while await world.issue_next():
        settled += 1
    assert settled == 11
    assert len(await world.mails()) == 1


@pytest.mark.goal("sec-A4")
async def test_a_known_network_has_a_higher_limit(world: World) -> None:
    world = world.limited(known_networks={ip_network("198.51.100.0/24"): 5_000})
    await world.add(KARI)
    await _fill_source(world, "198.51.100.7", 301)
    await world.asked(KARI, world.browser("198.51.100.7"))
    assert len(await world.mails()) == 1


async def _fill_source(world: World, source: str, asks: int) -> None:
    for n in range(asks):
        async with world.database.transaction() as conn:
            await challenges.ask(
                conn,
                read_login(f"n{n}@example.no"),
                Purpose.LOGIN,
                browser="other",
                source=source,
                limits=world.limits,
                keys=world.keys,
                chance=world.chance,
            )


@pytest.mark.parametrize(
    ("source", "limit"),
    [("10.1.2.3", 5_000), ("10.1.9.1", 9_000), ("10.2.0.1", 300), ("2001:db8::1", 700), ("::1", 300), ("unknown", 300)],
)
def test_a_source_has_the_highest_limit_of_the_networks_it_is_in(source: str, limit: int) -> None:
    networks = {"10.1.0.0/16": 5_000, "10.1.9.0/24": 9_000, "2001:db8::/32": 700}
    limits = Limits(known_networks={ip_network(network): most for network, most in networks.items()})
    assert limits.of_source(source) == limit
