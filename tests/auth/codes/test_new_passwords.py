"""New passwords by code and by link: the first and a forgotten one, in one step, once, by whoever reads the mail."""

import asyncio
import dataclasses
from collections import Counter
from typing import Any

import httpx2
import pytest

from services.auth.people import security
from tests.auth.codes.test_enumeration import shape
from tests.auth.world import PASSWORD, WRONG, Browser, Owner, World, age

KARI, OLA, STRANGER = "kari@example.no", "ola@example.no", "nobo@example.no"
ACTIVATIONS, RESETS = "/v1/activations", "/v1/password-resets"
INSTRUCTIONS, REDEMPTIONS = "/v1/password-instructions", "/v1/password-instructions/redemptions"
NEW = "sju trapper opp til loftet"
by_code = pytest.mark.parametrize("path", [ACTIVATIONS, RESETS])


async def order(world: World, browser: Browser, user_name: str) -> list[dict[str, Any]]:
    """Order instructions, and give what was mailed so far."""
    assert (await browser.send("POST", INSTRUCTIONS, json={"user_name": user_name})).status_code == 202
    await world.issue_all()
    return await world.told("auth.PasswordInstructionsRequested.v1")


async def redeem(browser: Browser, token: str, new: str = NEW, again: str | None = None) -> httpx2.Response:
    body = {"token": token, "new_password": new, "confirmation": new if again is None else again}
    return await browser.send("POST", REDEMPTIONS, json=body)


@pytest.mark.rule("U2", "U3", "U7", "U16", "U18")
@by_code
async def test_a_code_and_a_password_in_one_step_log_in_and_the_password_does_from_then_on(
    world: World, path: str
) -> None:
    account = await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, path)
    assert mail.purpose == {ACTIVATIONS: "activation", RESETS: "password_reset"}[path]
    answer = await browser.set_password(path, challenge, mail.code, NEW)
    assert (answer.status_code, answer.json()["account_id"]) == (201, str(account.id))
    assert (await browser.session()).status_code == 200
    assert (await world.browser().log_in(KARI, NEW)).status_code == 201


@pytest.mark.rule("U4", "U9", "U17")
@by_code
async def test_a_code_goes_to_registered_addresses_alone_and_the_screen_is_the_same(world: World, path: str) -> None:
    await world.add(KARI)
    answers = [await browser.send("POST", path, json={"address": address})
               for browser, address in zip(world.browsers(2), (KARI, STRANGER), strict=True)]  # fmt: skip
    await world.issue_all()
    masked = [(status, body.replace(KARI, "…").replace(STRANGER, "…"), headers)
              for status, body, headers in map(shape, answers)]  # fmt: skip
    assert masked[0] == masked[1]
    assert masked[0][0] == 202
    assert [str(mail.challenge_id) for mail in await world.mails()] == [answers[0].json()["challenge_id"]]


@pytest.mark.goal("sec-A9")
@by_code
async def test_a_code_that_is_no_good_is_refused_alike_whoever_has_the_address(
    world: World, owner: Owner, path: str
) -> None:
    for address in (KARI, OLA):
        await world.add(address)
    await owner.execute("update auth.accounts set active = false where address = $1", OLA)
    browsers = world.browsers(3)
    asked = [await browser.ask(address, path) for browser, address in zip(browsers, (KARI, OLA, STRANGER), strict=True)]
    await world.issue_all()
    statuses = []
    for _ in range(7):
        tries = [
            await browser.set_password(path, challenge, WRONG, NEW)
            for browser, challenge in zip(browsers, asked, strict=True)
        ]
        assert [shape(answer) for answer in tries] == [shape(tries[0])] * 3
        statuses.append(tries[0].status_code)
    assert statuses == [403] * 5 + [429] * 2


@pytest.mark.rule("U8")
@by_code
@pytest.mark.parametrize(
    ("new", "again", "refusal"),
    [
        (NEW, "sju trapper opp til loft", "passwords-differ"),
        ("kort", "kort", "password-too-short"),
        ("passwordpassword", "passwordpassword", "common-password"),
        ("kari@example.no.kari", "kari@example.no.kari", "password-names-you"),
    ],
)
async def test_a_password_that_is_not_good_costs_neither_a_try_nor_the_code(
    world: World, owner: Owner, path: str, new: str, again: str, refusal: str
) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, path)
    for _ in range(7):
        answer = await browser.set_password(path, challenge, mail.code, new, again)
        assert (answer.status_code, answer.json()["type"]) == (422, f"urn:samband:auth:{refusal}")
    assert await owner.fetchval("select sum(tries) from auth.challenges") == 0
    assert await owner.fetchval("select count(*) from auth.code_attempts") == 0
    assert (await browser.set_password(path, challenge, mail.code, NEW)).status_code == 201


@by_code
@pytest.mark.parametrize("password", ["plukkeren-plukkeren", "Nordmann.Kari.1984", "blåbærforbundet2026"])
async def test_a_password_of_what_only_the_account_knows_is_refused_without_using_the_code_up(
    world: World, owner: Owner, path: str, password: str
) -> None:
    await world.add_with_password(KARI, user_name="Plukkeren")
    home = await owner.fetchval(
        "insert into auth.organisations (name, kind) values ('Blåbærforbundet', 'customer') returning id"
    )
    await owner.execute("update auth.accounts set (full_name, organisation_id) = ('Kari Nordmann', $1)", home)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, path)
    wrong = await browser.set_password(path, challenge, WRONG, password)
    known = await browser.set_password(path, challenge, mail.code, password)
    assert (wrong.status_code, known.status_code) == (403, 422), "only whoever has the code learns the name"
    assert known.json()["type"] == "urn:samband:auth:password-names-you"
    assert (await world.browser().log_in(KARI)).status_code == 201
    assert (await browser.set_password(path, challenge, mail.code, NEW)).status_code == 201


@pytest.mark.rule("U9")
@by_code
async def test_a_wrong_used_or_expired_code_never_sets_a_password(world: World, owner: Owner, path: str) -> None:
    await world.add_with_password(KARI)
    used, late, other = world.browsers(3)
    (first, first_mail), (second, second_mail) = (
        await world.asked(KARI, used, path),
        await world.asked(KARI, late, path),
    )
    answers = [
        await used.set_password(path, first, WRONG, NEW),
        await other.set_password(path, first, first_mail.code, NEW),
    ]
    assert (await used.set_password(path, first, first_mail.code, PASSWORD)).status_code == 201
    answers += [
        await used.set_password(path, first, first_mail.code, NEW),
        await late.set_password(path, second, second_mail.code, NEW),
    ]
    third, third_mail = await world.asked(KARI, late, path)
    await age(owner, "challenges", minutes=10)
    answers.append(await late.set_password(path, third, third_mail.code, NEW))
    assert [answer.status_code for answer in answers] == [403] * 5
    assert [shape(answer) for answer in answers] == [shape(answers[0])] * 5
    assert (await world.browser().log_in(KARI, NEW)).status_code == 403
    assert (await world.browser().log_in(KARI, PASSWORD)).status_code == 201


@pytest.mark.goal("sec-A1")
@pytest.mark.parametrize(
    ("asked", "tried"), [(ACTIVATIONS, RESETS), (RESETS, ACTIVATIONS), ("/v1/login-codes", RESETS)]
)
async def test_a_code_is_good_for_what_it_was_asked_for_alone(world: World, asked: str, tried: str) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, asked)
    other = await browser.ask(KARI, tried)
    await world.issue_all()
    assert (await browser.set_password(tried, challenge, mail.code, NEW)).status_code == 403
    assert (await browser.set_password(tried, other, mail.code, NEW)).status_code == 403
    if asked != "/v1/login-codes":
        assert (await browser.redeem(challenge, mail.code)).status_code == 403
    assert (await world.browser().log_in(KARI, NEW)).status_code == 403


@pytest.mark.goal("sec-A2")
@by_code
async def test_tries_of_all_purposes_are_counted_together(world: World, path: str) -> None:
    await world.add(KARI)
    statuses = []
    for number, browser in enumerate(world.browsers(12)):
        challenge = await browser.ask(KARI, path if number % 2 else "/v1/login-codes")
        answer = await (
            browser.set_password(path, challenge, WRONG, NEW) if number % 2 else browser.redeem(challenge, WRONG)
        )
        statuses.append(answer.status_code)
    assert statuses == [403] * 10 + [429] * 2


@pytest.mark.goal("sec-A4")
async def test_a_mailbox_gets_three_mails_whatever_is_asked_for(world: World) -> None:
    await world.add_with_password(KARI, user_name="kari")
    for browser in world.browsers(3):
        for path in ("/v1/login-codes", ACTIVATIONS, RESETS, "/v1/user-name-reminders"):
            await browser.send("POST", path, json={"address": KARI})
        await browser.send("POST", INSTRUCTIONS, json={"user_name": "kari"})
    await world.issue_all()
    owed = [*await world.mails()]
    for kind in ("auth.UserNameRequested.v1", "auth.PasswordInstructionsRequested.v1"):
        owed += await world.told(kind)  # type: ignore[arg-type]  # only counted.
    assert len(owed) == 3


@pytest.mark.goal("sec-A3")
@by_code
async def test_500_parallel_submits_of_the_right_code_set_one_password(world: World, owner: Owner, path: str) -> None:
    boundless = {"tries_per_code": 10_000, "tries_per_quarter": 10_000, "failures_per_day": 10_000}
    world = world.limited(**boundless)
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, path)
    tabs = [dataclasses.replace(browser, cookies=dict(browser.cookies)) for _ in range(500)]
    answers = await asyncio.gather(
        *(tab.set_password(path, challenge, mail.code, f"{NEW} {n}") for n, tab in enumerate(tabs))
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 403: 499}
    assert len(await world.told("auth.PasswordChanged.v1")) == 1
    winner = [answer.status_code for answer in answers].index(201)
    assert (await world.browser().log_in(KARI, f"{NEW} {winner}")).status_code == 201


@pytest.mark.goal("sec-A10")
@by_code
async def test_a_new_password_ends_all_sessions_and_open_codes_and_is_told(world: World, path: str) -> None:
    account = await world.add_with_password(KARI)
    elsewhere, waiting, browser = world.browsers(3)
    await elsewhere.log_in(KARI)
    waited, waited_mail = await world.asked(KARI, waiting)
    challenge, mail = await world.asked(KARI, browser, path)
    await browser.set_password(path, challenge, mail.code, NEW)
    assert (await elsewhere.session()).status_code == 401
    assert (await waiting.redeem(waited, waited_mail.code)).status_code == 403
    (told,) = await world.told("auth.PasswordChanged.v1")
    assert told["account_id"] == str(account.id)
    assert [each["below_epoch"] for each in await world.told("auth.TokensVoided.v1")] == [(1 << 32) + 2]
    assert (await browser.session()).status_code == 200


@by_code
async def test_the_back_button_and_a_second_try_show_a_refusal_and_change_nothing(world: World, path: str) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, path)
    assert (await browser.set_password(path, challenge, mail.code, NEW)).status_code == 201
    assert (await browser.set_password(path, challenge, mail.code, PASSWORD)).status_code == 403
    assert await browser.listed(path) == []
    assert (await browser.session()).status_code == 200
    assert (await world.browser().log_in(KARI, NEW)).status_code == 201


@pytest.mark.rule("G5")
@by_code
async def test_the_list_shows_which_codes_count_for_each_purpose(world: World, path: str) -> None:
    browser = world.browser()
    asked = [await browser.ask(KARI, path) for _ in range(2)]
    other = await browser.ask(KARI)
    assert await browser.listed(path) == asked[::-1]
    assert await browser.listed() == [other]


@pytest.mark.parametrize("typed", ["{} ", " {}", "３", "spaced"])
async def test_a_code_is_read_with_spaces_and_wide_digits(world: World, typed: str) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, RESETS)
    wide = {ord(str(n)): 0xFF10 + n for n in range(10)}
    forms = {"３": mail.code.translate(wide), "spaced": f"{mail.code[:3]}\u00a0{mail.code[3:]}"}
    code = forms.get(typed, typed.format(mail.code))
    assert (await browser.set_password(RESETS, challenge, code, NEW)).status_code == 201


async def test_an_inactive_account_sets_no_password(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, RESETS)
    await owner.execute("update auth.accounts set active = false")
    assert (await browser.set_password(RESETS, challenge, mail.code, NEW)).status_code == 403
    assert await owner.fetchval("select count(*) from auth.passwords") == 0


async def test_a_code_whose_use_fails_half_way_can_be_used_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ConnectionResetError

    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser, RESETS)
    with monkeypatch.context() as broken:
        broken.setattr(security, "void_tokens", fail)
        assert (await browser.set_password(RESETS, challenge, mail.code, NEW)).status_code == 503
    assert await world.told("auth.PasswordChanged.v1") == []
    assert (await browser.set_password(RESETS, challenge, mail.code, NEW)).status_code == 201


@pytest.mark.rule("L2", "L3", "L4")
async def test_a_reminder_holds_the_user_name_or_the_address_and_a_stranger_gets_none(world: World) -> None:
    await world.add_with_password(KARI, user_name="Kari Nordmann")
    await world.add(OLA)
    answers = [await browser.send("POST", "/v1/user-name-reminders", json={"address": address})
               for browser, address in zip(world.browsers(3), (KARI, OLA, STRANGER), strict=True)]  # fmt: skip
    await world.issue_all()
    assert [shape(answer) for answer in answers] == [shape(answers[0])] * 3
    assert answers[0].status_code == 202
    told = await world.told("auth.UserNameRequested.v1")
    assert [each["user_name"] for each in told] == ["Kari Nordmann", OLA]


@pytest.mark.rule("L4")
async def test_a_reminder_is_mailed_while_blocked_for_it_opens_nothing(world: World) -> None:
    await world.add_with_password(KARI)
    for browser in world.browsers(5):
        await browser.log_in(KARI, "feil feil feil feil")
    await world.browser().send("POST", "/v1/user-name-reminders", json={"address": KARI})
    await world.issue_all()
    assert len(await world.told("auth.UserNameRequested.v1")) == 1


@pytest.mark.rule("L5", "L6")
@pytest.mark.parametrize("typed", ["kari nordmann", " KARI  NORDMANN".replace("  ", " "), KARI])
async def test_instructions_go_to_the_registered_address_and_their_link_sets_a_password_once(
    world: World, typed: str
) -> None:
    account = await world.add_with_password(KARI, user_name="Kari Nordmann")
    (mail,) = await order(world, world.browser(), typed)
    assert (mail["account_id"], mail["account_version"]) == (str(account.id), account.version)
    elsewhere = world.browser()
    assert (await redeem(elsewhere, mail["token"])).status_code == 204
    assert (await elsewhere.session()).status_code == 401, "a link logs nobody in"
    assert (await world.browser().log_in("kari nordmann", NEW)).status_code == 201
    assert (await redeem(elsewhere, mail["token"], PASSWORD)).status_code == 403
    assert (await world.browser().log_in(KARI, NEW)).status_code == 201
    assert len(await world.told("auth.PasswordChanged.v1")) == 1


@pytest.mark.rule("L5", "L6")
@pytest.mark.goal("sec-A9")
async def test_ordering_instructions_is_answered_alike_whoever_has_the_user_name(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI, user_name="kari")
    await world.add_with_password(OLA, user_name="ola")
    await owner.execute("update auth.accounts set active = false where address = $1", OLA)
    typed = ("kari", "ola", "stranger", STRANGER, "", "@", "\u202e")
    answers = [await world.browser().send("POST", INSTRUCTIONS, json={"user_name": each}) for each in typed]
    await world.issue_all()
    assert [shape(answer) for answer in answers] == [shape(answers[0])] * len(typed)
    assert len(await world.told("auth.PasswordInstructionsRequested.v1")) == 1


@pytest.mark.rule("L6")
async def test_a_link_lives_for_30_minutes_and_its_token_is_kept_as_a_digest(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI, user_name="kari")
    (mail,) = await order(world, world.browser(), "kari")
    whole = await owner.fetchval("select c::text from auth.challenges c")
    assert mail["token"] not in whole
    await age(owner, "challenges", minutes=29, seconds=45)
    assert (await redeem(world.browser(), mail["token"], "kort")).status_code == 422
    await age(owner, "challenges", seconds=15)
    assert (await redeem(world.browser(), mail["token"])).status_code == 403


async def test_a_new_password_makes_links_from_before_worth_nothing(world: World) -> None:
    await world.add_with_password(KARI, user_name="kari")
    browser = world.browser()
    await order(world, browser, "kari")
    first, second = await order(world, browser, "kari")
    assert (await redeem(browser, second["token"])).status_code == 204
    assert (await redeem(browser, first["token"], PASSWORD)).status_code == 403


@pytest.mark.goal("sec-A3")
async def test_100_parallel_uses_of_a_link_set_one_password(world: World) -> None:
    await world.add_with_password(KARI, user_name="kari")
    (mail,) = await order(world, world.browser(), "kari")
    answers = await asyncio.gather(
        *(redeem(browser, mail["token"], f"{NEW} {n}") for n, browser in enumerate(world.browsers(100)))
    )
    assert Counter(answer.status_code for answer in answers) == {204: 1, 403: 99}
    assert len(await world.told("auth.PasswordChanged.v1")) == 1


@pytest.mark.parametrize("token", ["", "x", "token-0", "å" * 100, "\u202e"])
async def test_a_token_that_we_never_gave_is_refused(world: World, token: str) -> None:
    assert (await redeem(world.browser(), token)).status_code == 403


async def test_two_resets_and_a_change_at_once_do_not_stand_in_each_other_s_way(world: World) -> None:
    await world.add_with_password(KARI)
    logged_in, one, other = world.browsers(3)
    await logged_in.log_in(KARI)
    (first, first_mail), (second, second_mail) = (
        await world.asked(KARI, one, RESETS),
        await world.asked(KARI, other, RESETS),
    )
    body = {"old_password": PASSWORD, "new_password": NEW, "confirmation": NEW}
    answers = await asyncio.gather(
        one.set_password(RESETS, first, first_mail.code, NEW + " en"),
        other.set_password(RESETS, second, second_mail.code, NEW + " to"),
        logged_in.send("PUT", "/v1/password", json=body),
    )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {201, 204, 403}
    assert {201, 204} & set(statuses)


@pytest.mark.parametrize("path", [f"{ACTIVATIONS}/x/password", REDEMPTIONS, INSTRUCTIONS, "/v1/user-name-reminders"])
@pytest.mark.parametrize("body", [{}, {"colour": "red"}, {"code": 7}, {"user_name": 7}, {"address": "kari@"}, []])
async def test_a_body_that_is_not_valid_names_what_is_wrong(world: World, path: str, body: Any) -> None:
    answer = await world.browser().send("POST", path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"]
