"""Log-in by password: as by a code, for whoever knows the password, and alike for all others."""

import asyncio
import dataclasses
import unicodedata
from collections import Counter
from typing import Any

import httpx2
import pytest
import structlog
from argon2 import PasswordHasher

from services.auth.passwords import store
from services.auth.passwords.hashing import Hashing
from services.auth.sessions import store as sessions
from tests.auth.codes.test_enumeration import shape
from tests.auth.world import PASSWORD, PEPPER, Browser, Owner, World, age

KARI = "kari@example.no"
CANARY = "kanari kanari i buret"
NEW = "sju trapper opp til loftet"


async def change(browser: Browser, old: str = PASSWORD, new: str = NEW, again: str | None = None) -> httpx2.Response:
    body = {"old_password": old, "new_password": new, "confirmation": new if again is None else again}
    return await browser.send("PUT", "/v1/password", json=body)


@pytest.mark.rule("L1", "U3")
@pytest.mark.parametrize("login", [KARI, " Kari@EXAMPLE.no ", "Kari Nordmann", " ｋａｒｉ nordmann"])
async def test_an_address_or_a_user_name_and_the_password_log_in(world: World, login: str) -> None:
    account = await world.add_with_password(KARI, user_name="Kari Nordmann")
    browser = world.browser()
    answer = await browser.log_in(login)
    assert answer.status_code == 201
    assert answer.json() == answer.json() | {"account_id": str(account.id), "address": KARI, "assurance": "low"}
    assert (await browser.session()).status_code == 200


@pytest.mark.rule("L1")
async def test_a_user_name_is_never_taken_for_another_s_address(world: World) -> None:
    kari = await world.add_with_password(KARI, user_name="ola")
    await world.add_with_password("ola@example.no", "en helt annen setning")
    assert (await world.browser().log_in("ola")).json()["account_id"] == str(kari.id)
    assert (await world.browser().log_in("ola@example.no")).status_code == 403


@pytest.mark.goal("sec-A5")
async def test_a_password_is_the_same_however_its_letters_are_typed(world: World) -> None:
    await world.add_with_password(KARI)
    assert (await world.browser().log_in(KARI, unicodedata.normalize("NFD", PASSWORD))).status_code == 201


@pytest.mark.goal("sec-A10")
async def test_a_log_in_gives_a_new_session_and_ends_the_one_that_the_browser_had(world: World) -> None:
    await world.add_with_password(KARI)
    browser = world.browser()
    await browser.log_in(KARI)
    first = browser.cookies["__Host-session"]
    await browser.log_in(KARI)
    assert browser.cookies["__Host-session"] != first
    old = dataclasses.replace(browser, cookies=browser.cookies | {"__Host-session": first})
    assert (await old.session()).status_code == 401


@pytest.mark.goal("sec-A9")
async def test_nothing_tells_a_wrong_password_from_a_stranger_s_or_a_blocked_one(world: World, owner: Owner) -> None:
    for name in ("known", "blocked", "sleep", "sleepblocked"):
        await world.add_with_password(f"{name}@example.no")
    await world.add("nopassword@example.no")
    await owner.execute("update auth.accounts set active = false where address like 'sleep%'")
    for name in ("blocked", "sleepblocked", "strangerblocked"):
        for browser in world.browsers(5):
            await browser.log_in(f"{name}@example.no", "feil feil feil feil")
    wrong = [(f"{name}@example.no", "feil feil feil feil") for name in ("known", "stranger", "nopassword", "blocked")]
    right = [(f"{name}@example.no", PASSWORD) for name in ("blocked", "sleep", "sleepblocked", "strangerblocked")]
    others = [("kari@", PASSWORD), ("", PASSWORD), ("@", ""), ("x\u0301\u202e", "x"), ("k" * 254, "p")]
    answers = [await world.browser().log_in(*each) for each in (*wrong, *right, *others)]
    assert [shape(answer) for answer in answers] == [shape(answers[0])] * len(answers)
    assert answers[0].status_code == 403
    assert answers[0].json()["type"] == "urn:samband:auth:wrong-login"
    assert "set-cookie" not in answers[0].headers


@pytest.mark.goal("sec-A9")
async def test_the_same_statements_are_run_whoever_has_the_login(
    world: World, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("known", "blocked", "sleep"):
        await world.add_with_password(f"{name}@example.no")
    await owner.execute("update auth.accounts set active = false where address like 'sleep%'")
    for browser in world.browsers(5):
        await browser.log_in("blocked@example.no", "feil feil feil feil")
    run: list[list[str]] = []
    for name in ("known", "stranger", "blocked", "sleep"):
        with monkeypatch.context() as spied:
            run.append(_spied(spied))
            await world.browser().log_in(f"{name}@example.no", "feil feil feil feil")
    assert run[0] == run[1] == run[2] == run[3]
    assert run[0] == ["insert_attempt", "find_candidate", "count_guess", "compare"]


def _spied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down which of the store's functions are called, and each comparison."""
    called: list[str] = []

    def spy(module: Any, name: str, said: str) -> None:
        real = getattr(module, name)

        def spying(*given: Any, **named: Any) -> Any:
            called.append(said)
            return real(*given, **named)

        monkeypatch.setattr(module, name, spying)

    for name in ("insert_attempt", "find_candidate", "count_guess", "confirm_password", "is_blocked"):
        spy(store, name, name)
    spy(Hashing, "matches", "compare")
    return called


@pytest.mark.goal("sec-A6")
async def test_surplus_log_ins_are_turned_away_and_cost_nobody_a_try(world: World, owner: Owner) -> None:
    world = dataclasses.replace(world, hashing=Hashing(PEPPER, threads=1, waiting=4))
    await world.add_with_password(KARI)
    answers = await asyncio.gather(*(browser.log_in(KARI) for browser in world.browsers(60)))
    found = Counter(answer.status_code for answer in answers)
    assert found[201] >= 1
    assert set(found) <= {201, 403, 503}
    assert found[503] >= 1
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert (busy.headers["retry-after"], busy.json()["type"]) == ("3", "urn:samband:auth:busy")
    counted = await owner.fetchval("select count(*) from auth.password_attempts")
    assert counted == found[201] + found[403]


async def test_a_log_in_renews_a_hash_with_older_parameters(world: World, owner: Owner) -> None:
    await world.add_with_password(KARI)
    world = dataclasses.replace(world, hashing=Hashing(PEPPER, hasher=PasswordHasher(2, 16, 1), threads=1))
    assert (await world.browser().log_in(KARI)).status_code == 201
    kept = await owner.fetchval("select hash from auth.passwords")
    assert kept.startswith("$argon2id$v=19$m=16,t=2,p=1$")
    assert (await world.browser().log_in(KARI)).status_code == 201
    assert await owner.fetchval("select hash from auth.passwords") == kept


async def test_a_log_in_that_fails_half_way_can_be_done_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ConnectionResetError

    await world.add_with_password(KARI)
    browser = world.browser()
    with monkeypatch.context() as broken:
        broken.setattr(sessions, "insert_session", fail)
        assert (await browser.log_in(KARI)).status_code == 503
    assert (await browser.log_in(KARI)).status_code == 201


async def test_a_source_with_too_many_wrong_passwords_is_refused_whoever_is_meant(world: World, owner: Owner) -> None:
    world = world.limited(source_limit=3)
    await world.add_with_password(KARI)
    for n in range(3):
        assert (await world.browser("198.51.100.7").log_in(f"n{n}@example.no")).status_code == 403
    refused = [await world.browser("198.51.100.7").log_in(login) for login in (KARI, "stranger@example.no")]
    assert [answer.status_code for answer in refused] == [429, 429]
    assert shape(refused[0]) == shape(refused[1])
    assert refused[0].headers["retry-after"] == "3600"
    assert (await world.browser("198.51.100.8").log_in(KARI)).status_code == 201
    await age(owner, "password_attempts", hours=1)
    assert (await world.browser("198.51.100.7").log_in(KARI)).status_code == 201


async def test_right_passwords_are_no_failures_of_their_source(world: World) -> None:
    world = world.limited(source_limit=2)
    await world.add_with_password(KARI)
    assert [(await browser.log_in(KARI)).status_code for browser in world.browsers(5)] == [201] * 5


@pytest.mark.goal("sec-P9")
async def test_no_log_line_and_no_table_shows_a_password(world: World, owner: Owner) -> None:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    with structlog.testing.capture_logs() as lines:
        await world.add_with_password(KARI, CANARY)
        browser = world.browser()
        statuses = [
            (await browser.log_in(KARI, CANARY + " feil")).status_code,
            (await browser.log_in(KARI, CANARY)).status_code,
            (await change(browser, CANARY, f"{CANARY} to")).status_code,
            (await change(browser, CANARY, f"{CANARY} tre")).status_code,
            (await change(browser, CANARY, "kanari", "Kanari")).status_code,
        ]
    structlog.configure(**before)
    assert statuses == [403, 201, 204, 403, 422]
    assert lines
    assert "kanari" not in str(lines).lower()
    tables = await owner.fetch("select tablename from pg_tables where schemaname = 'auth'")
    for (table,) in tables:
        rows = await owner.fetch(f"select t::text as whole from auth.{table} t")  # noqa: S608 -- from the catalogue.
        assert not [row for row in rows if "kanari" in row["whole"].lower() or b"kanari".hex() in row["whole"]]


@pytest.mark.goal("sec-A10")
async def test_changing_the_password_needs_the_old_one_and_ends_all_other_sessions(world: World) -> None:
    account = await world.add_with_password(KARI)
    here, there = world.browsers(2)
    await here.log_in(KARI)
    await there.log_in(KARI)
    assert (await change(here, "feil feil feil feil")).status_code == 403
    assert (await there.session()).status_code == 200
    assert (await change(here)).status_code == 204
    assert [(await browser.session()).status_code for browser in (here, there)] == [200, 401]
    assert (await world.browser().log_in(KARI)).status_code == 403
    assert (await world.browser().log_in(KARI, NEW)).status_code == 201
    (voided,) = [each for each in await world.told("auth.TokensVoided.v1") if each["below_epoch"]]
    assert (voided["account_id"], voided["below_epoch"]) == (str(account.id), (1 << 32) + 2)
    (told,) = await world.told("auth.PasswordChanged.v1")
    assert (told["account_id"], told["account_version"]) == (str(account.id), 1)


async def test_whoever_is_not_logged_in_changes_no_password(world: World) -> None:
    await world.add_with_password(KARI)
    browser = world.browser()
    assert (await change(browser)).status_code == 401
    browser.cookies["__Host-session"] = "nobody-s"
    assert (await change(browser)).status_code == 401


@pytest.mark.goal("sec-A7")
async def test_the_old_password_is_not_to_be_guessed_in_a_session_either(world: World) -> None:
    await world.add_with_password(KARI)
    browser = world.browser()
    await browser.log_in(KARI)
    guesses = [(await change(browser, "feil feil feil feil")).status_code for _ in range(5)]
    assert guesses == [403] * 5
    assert (await change(browser)).status_code == 403
    assert await world.told("auth.PasswordChanged.v1") == []


@pytest.mark.parametrize(
    ("new", "again", "refusal"),
    [
        (NEW, NEW + " ", "passwords-differ"),
        ("kort", "kort", "password-too-short"),
        ("å" * 513, "å" * 513, "password-too-long"),
        ("passwordpassword", "passwordpassword", "common-password"),
        ("kari@example.no!!", "kari@example.no!!", "password-names-you"),
        ("Kari.Nordmann.99", "Kari.Nordmann.99", "password-names-you"),
    ],
)
async def test_a_new_password_that_is_not_good_is_refused_before_the_old_one_is_counted(
    world: World, owner: Owner, new: str, again: str, refusal: str
) -> None:
    await world.add_with_password(KARI, user_name="Kari Nordmann")
    browser = world.browser()
    await browser.log_in(KARI)
    answer = await change(browser, "feil feil feil feil", new, again)
    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:samband:auth:{refusal}")
    assert await owner.fetchval("select count(*) from auth.password_attempts") == 1
    assert await owner.fetchval("select count(*) from auth.blocks") == 0


async def test_of_two_tabs_that_change_a_password_at_once_one_does(world: World) -> None:
    await world.add_with_password(KARI)
    browser = world.browser()
    await browser.log_in(KARI)
    tabs = [dataclasses.replace(browser, cookies=dict(browser.cookies)) for _ in range(2)]
    answers = await asyncio.gather(*(change(tab, new=f"{NEW} nummer {n}") for n, tab in enumerate(tabs)))
    assert sorted(answer.status_code for answer in answers) == [204, 403]
    assert len(await world.told("auth.PasswordChanged.v1")) == 1
