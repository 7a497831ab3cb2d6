"""The HTTP edge: cookies, keys of idempotency, languages, and what is asked of a body."""

import json
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.auth.world import SENDER, WRONG, Browser, Owner, World

KARI = "kari@example.no"
ASK, REDEEM = "/v1/login-codes", "/v1/sessions"


async def test_an_ask_is_answered_with_where_the_code_goes_who_sends_it_and_how_long_it_lasts(world: World) -> None:
    shown = await world.browser().ask(KARI)
    asked_at, expires_at = (datetime.fromisoformat(shown[name]) for name in ("asked_at", "expires_at"))
    assert (shown["address"], shown["sender"], len(shown["reference"])) == (KARI, SENDER, 4)
    assert expires_at - asked_at == timedelta(minutes=10)


@pytest.mark.rule("G5")
async def test_the_list_shows_each_code_with_its_reference_newest_first(world: World) -> None:
    browser = world.browser()
    asked = [await browser.ask(KARI) for _ in range(3)]
    await world.browser().ask(KARI)
    assert await browser.listed() == asked[::-1]
    assert len({shown["reference"] for shown in asked}) == 3


async def test_cookies_are_bound_to_this_host_and_hidden_from_scripts(world: World) -> None:
    await world.add(KARI)
    browser = world.browser()
    asked = await browser.send("POST", ASK, json={"address": KARI})
    await world.issue_all()
    logged_in = await browser.redeem(asked.json(), (await world.mails())[0].code)
    gone = await browser.send("DELETE", "/v1/session")
    assert _set_by(asked) == {"__Host-browser": 180 * 24 * 3600}
    assert _set_by(logged_in) == {"__Host-browser": 180 * 24 * 3600, "__Host-session": 8 * 3600}
    assert _set_by(gone) == {"__Host-session": 0}


def _set_by(answer: httpx2.Response) -> dict[str, int]:
    """Give the cookies that an answer sets, with their ages, once their attributes are found safe."""
    ages = {}
    for header in answer.headers.get_list("set-cookie"):
        ((name, morsel),) = SimpleCookie(header).items()
        assert (morsel["path"], morsel["domain"], morsel["samesite"]) == ("/", "", "lax")
        assert morsel["secure"]
        assert morsel["httponly"]
        ages[name] = int(morsel["max-age"])
    return ages


async def test_a_browser_keeps_its_name(world: World) -> None:
    browser = world.browser()
    await browser.ask(KARI)
    name = browser.cookies["__Host-browser"]
    await browser.ask(KARI)
    assert browser.cookies["__Host-browser"] == name
    assert len(await browser.listed()) == 2


@pytest.mark.parametrize("cookie", ['"a\\012b"', '"a\\000"', "a b", "\xe6", "x" * 101, "a\\"])
async def test_a_browser_cookie_that_we_never_gave_is_refused(world: World, cookie: str) -> None:
    answer = await world.browser().send("GET", ASK, headers={"Cookie": f"__Host-browser={cookie}"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["in"] == "cookie"


async def test_an_ask_that_is_sent_again_under_its_key_is_one_challenge(world: World, owner: Owner) -> None:
    browser = world.browser()
    await browser.listed()
    key = {"Idempotency-Key": str(uuid4())}
    first, again = [await browser.send("POST", ASK, json={"address": KARI}, headers=key) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert await owner.fetchval("select count(*) from auth.challenges") == 1


async def test_the_same_key_means_another_ask_in_another_browser(world: World) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    ids = set()
    for browser in world.browsers(2):
        await browser.listed()
        ids.add((await browser.send("POST", ASK, json={"address": KARI}, headers=key)).json()["challenge_id"])
    assert len(ids) == 2


async def test_a_key_that_was_used_for_another_ask_is_refused(world: World) -> None:
    browser = world.browser()
    await browser.listed()
    key = {"Idempotency-Key": str(uuid4())}
    answers = [
        await browser.send("POST", ASK, json={"address": address}, headers=key) for address in (KARI, "ola@example.no")
    ]
    assert [answer.status_code for answer in answers] == [202, 422]
    assert answers[1].json()["type"] == "urn:samband:problem:idempotency-key-reused"


async def test_a_key_from_a_browser_without_a_name_is_refused_and_says_what_to_do(world: World, owner: Owner) -> None:
    answer = await world.browser().send("POST", ASK, json={"address": KARI}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 400
    assert "send the request without the key" in answer.json()["detail"]
    assert await owner.fetchval("select count(*) from auth.challenges") == 0


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("nb", "Koden er feil, brukt eller for gammel."),
        ("nn", "Koden er feil, brukt eller for gammal."),
        ("en", "The code is wrong, used, or too old."),
    ],
)
async def test_a_refusal_is_a_problem_in_the_person_s_language(world: World, language: str, title: str) -> None:
    browser = world.browser()
    answer = await browser.redeem(await browser.ask(KARI), WRONG, **{"Accept-Language": language})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert (problem["title"], answer.headers["content-language"]) == (title, language)
    assert problem["type"] == "urn:samband:auth:wrong-code"


@pytest.mark.parametrize("path", [ASK, REDEEM])
@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"{}", "application/json", 422),
        (b'{"x": "' + b"x" * 70_000 + b'"}', "application/json", 413),
        (b"{}", "text/plain", 415),
    ],
)
async def test_a_body_that_is_not_what_was_asked_for_is_refused(
    world: World, path: str, content: bytes, content_type: str, status: int
) -> None:
    answer = await world.browser().send("POST", path, content=content, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "change", "pointer", "code"),
    [
        (ASK, {"colour": "red"}, "#/colour", "extra_forbidden"),
        (ASK, {"address": "kari@"}, "#/address", "value_error"),
        (ASK, {"address": "k" * 250 + "@example.no"}, "#/address", "string_too_long"),
        (ASK, {"address": 7}, "#/address", "string_type"),
        (ASK, {"address": "kari\0@example.no"}, "#/address", "unusable_text"),
        (REDEEM, {"colour": "red"}, "#/colour", "extra_forbidden"),
        (REDEEM, {"challenge_id": "7"}, "#/challenge_id", "uuid_parsing"),
        (REDEEM, {"code": 123456}, "#/code", "string_type"),
        (REDEEM, {"code": "١٢٣٤٥٦"}, "#/code", "string_pattern_mismatch"),
        (REDEEM, {"code": "123456\n"}, "#/code", "string_pattern_mismatch"),
    ],
)
async def test_a_field_that_is_not_valid_is_named(
    world: World, path: str, change: dict[str, Any], pointer: str, code: str
) -> None:
    right = {"address": KARI} if path == ASK else {"challenge_id": str(uuid4()), "code": WRONG}
    answer = await world.browser().send("POST", path, json=right | change)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.emails() | st.uuids().map(str)
    | st.from_regex(r"[0-9]{6}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=3),
)  # fmt: skip
_OBJECTS = st.dictionaries(st.sampled_from(["address", "challenge_id", "code", "else"]), _VALUES)
_BODIES = st.binary(max_size=200) | _OBJECTS.map(lambda value: json.dumps(value).encode())


@pytest.fixture
def app(world: World) -> FastAPI:
    return world.app()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([ASK, REDEEM]), body=_BODIES, cookie=st.text(st.characters(max_codepoint=255), max_size=40))
async def test_no_body_and_no_cookie_at_all_make_a_failure(app: FastAPI, path: str, body: bytes, cookie: str) -> None:
    browser = Browser(app, "192.0.2.1")
    headers = {"Content-Type": "application/json", "Cookie": f"__Host-browser={cookie}; __Host-session={cookie}"}
    posted = await browser.send("POST", path, content=body, headers=headers)
    shown = await browser.send("GET", "/v1/session", headers=headers)
    assert max(posted.status_code, shown.status_code) < 500
