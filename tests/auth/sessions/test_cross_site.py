"""What another site can make a browser do: nothing (sec-A16)."""

from typing import Any

import pytest

from tests.auth.world import WRONG, Owner, World

KARI = "kari@example.no"
ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]

pytestmark = pytest.mark.goal("sec-A16")


@pytest.mark.parametrize("headers", ELSEWHERE)
async def test_nobody_is_logged_in_from_another_site_and_no_try_is_counted(
    world: World, owner: Owner, headers: dict[str, str]
) -> None:
    await world.add(KARI)
    browser = world.browser()
    challenge, mail = await world.asked(KARI, browser)
    for code in (WRONG, mail.code):
        answer = await browser.redeem(challenge, code, **headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:samband:problem:cross-site")
    assert "__Host-session" not in browser.cookies
    assert await owner.fetchval("select tries from auth.challenges") == 0


@pytest.mark.parametrize("headers", ELSEWHERE)
async def test_nothing_of_a_session_is_changed_from_another_site(
    world: World, owner: Owner, headers: dict[str, str]
) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("DELETE", "/v1/session", {}),
        ("DELETE", "/v1/sessions", {}),
        ("PUT", "/v1/session/organisation", {"json": {"organisation_id": "01980a3e-7c41-7d3a-9c0f-000000000001"}}),
        ("POST", "/v1/access-tokens", {"json": {"audience": "cases"}}),
        ("POST", "/v1/refresh-tokens", {}),
        ("POST", "/v1/oauth/token", {"data": {"grant_type": "refresh_token"}}),
        ("POST", "/v1/terms/unionfees.confidentiality/acceptances", {"json": {"version": "1", "accepted": True}}),
    ]
    for method, path, body in writes:
        answer = await browser.send(method, path, headers=headers, **body)
        assert (path, answer.status_code) == (path, 403)
    assert (await browser.session()).status_code == 200
    assert await owner.fetchval("select count(*) from auth.refresh_families") == 0


async def test_a_cookie_that_was_planted_is_no_session_and_none_after_a_log_in(world: World) -> None:
    await world.add(KARI)
    browser = world.browser()
    browser.cookies["__Host-session"] = planted = "p" * 43
    assert (await browser.session()).status_code == 401
    challenge, mail = await world.asked(KARI, browser)
    assert (await browser.redeem(challenge, mail.code)).status_code == 201
    assert browser.cookies["__Host-session"] != planted
    attacker = world.browser()
    attacker.cookies["__Host-session"] = planted
    assert (await attacker.session()).status_code == 401


async def test_no_page_frames_what_auth_answers(world: World) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    for path in ("/v1/session", "/v1/sessions", "/v1/terms", "/nothing"):
        headers = (await browser.send("GET", path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


async def test_the_host_that_a_request_names_is_never_repeated(world: World) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    for path in ("/v1/session", "/.well-known/oauth-authorization-server", "/v1/session/", "/nothing"):
        answer = await browser.send(
            "GET",
            path,
            headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"},
        )
        assert "evil" not in answer.text + str(answer.headers)
