"""Access tokens: a minute's proof for one service, with the rights of this moment there, void with their session."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from chassis import restores, tokens, voids
from chassis.tokens import Assurance, BadToken, Claims, Verifier
from contracts.auth import TokensVoided
from services.auth import restore
from services.auth.people import security
from services.auth.sessions import access_tokens, sessions, token_keys
from tests.auth.sessions.test_sessions import voided
from tests.auth.standing import COMPANY_USER, NAME, let_act, publish
from tests.auth.world import ISSUER, Browser, Owner, World

KARI = "kari@example.no"


async def give(browser: Browser, audience: str) -> httpx2.Response:
    return await browser.send("POST", "/v1/access-tokens", json={"audience": audience})


def read(world: World, token: str, audience: str) -> Claims:
    """Read a token as the service does that it is for."""
    assert world.settings.token_keys is not None
    return Verifier(tokens.read_keys(world.settings.token_keys), issuer=ISSUER, audience=audience).verify(token)


async def carried(
    world: World, token: str, method: str = "GET", path: str = "/v1/session", **body: Any
) -> httpx2.Response:
    """Bring a token to auth itself, from where there are no cookies."""
    return await world.browser().send(method, path, headers={"Authorization": f"Bearer {token}"}, **body)


@pytest.mark.goal("sec-A11")
async def test_a_token_says_who_for_whom_and_what_they_may_do_in_that_service_alone(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    organisation = await let_act(owner, account.id, "cases.payroll", COMPANY_USER, "auth.superuser")
    browser = await world.logged_in(KARI)
    answer = await give(browser, "cases")
    given = answer.json()
    claims = read(world, given["access_token"], "cases")
    session_id = await owner.fetchval("select id from auth.sessions")
    assert (answer.status_code, given["token_type"], given["expires_in"]) == (201, "Bearer", 60)
    assert (claims.account_id, claims.session_id, claims.organisation_id) == (account.id, session_id, organisation)
    assert claims.rights == {"cases.read-payroll-cases", "cases.report-cases"}
    assert (claims.assurance, claims.epoch, claims.terms) == (Assurance.LOW, (1 << 32) + 1, {})
    assert claims.expires_at - claims.issued_at == timedelta(seconds=60)
    with pytest.raises(BadToken, match="for another service"):
        read(world, given["access_token"], "unionfees")


@pytest.mark.goal("sec-A11")
@pytest.mark.rule("U13")
async def test_a_token_carries_the_terms_that_were_accepted(world: World, owner: Owner) -> None:
    await publish(world, "1")
    account = await world.add(KARI)
    await let_act(owner, account.id, COMPANY_USER)
    browser = await world.logged_in(KARI)
    assert (await give(browser, "unionfees")).status_code == 403
    await browser.send("POST", f"/v1/terms/{NAME}/acceptances", json={"version": "1", "accepted": True})
    await publish(world, "2", file="Ny.\n[ ] Ja.")
    claims = read(world, (await give(browser, "unionfees")).json()["access_token"], "unionfees")
    assert (dict(claims.terms), claims.rights) == ({NAME: "1"}, frozenset({"unionfees.use-portal"}))


@pytest.mark.goal("sec-A11")
async def test_how_long_a_token_lives_is_a_setting(world: World) -> None:
    await world.add(KARI)
    world = replace(world, settings=world.settings.model_copy(update={"access_token_seconds": 300}))
    browser = await world.logged_in(KARI)
    given = (await give(browser, "cases")).json()
    claims = read(world, given["access_token"], "cases")
    assert (given["expires_in"], claims.expires_at - claims.issued_at) == (300, timedelta(minutes=5))


@pytest.mark.goal("sec-A10")
async def test_no_token_outlives_its_session(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    refresh = (await browser.send("POST", "/v1/refresh-tokens")).json()["refresh_token"]
    ends_at = await owner.fetchval("update auth.sessions set ends_at = now() + interval '50 seconds' returning ends_at")
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "audience": "cases"}
    for answer in (await give(browser, "cases"), await world.browser().send("POST", "/v1/oauth/token", data=form)):
        given = answer.json()
        claims = read(world, given["access_token"], "cases")
        assert claims.expires_at == ends_at.replace(microsecond=0)
        assert timedelta(seconds=given["expires_in"]) == claims.expires_at - claims.issued_at


async def test_the_last_token_of_a_session_is_one_that_services_take(world: World) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    signer = token_keys.signer_of(world.settings)
    async with world.database.transaction() as conn:
        session = await sessions.current(conn, browser.cookies["__Host-session"], keys=world.keys)
        last = replace(session, ends_at=session.seen_at + timedelta(microseconds=1))
        given = await access_tokens.issue(conn, last, "cases", signer=signer, chance=world.chance)
    assert given.seconds == 1


@pytest.mark.parametrize("audience", ["", "nobody", "Cases", "cases ", "notifications"])
async def test_a_service_that_takes_no_tokens_gets_none(world: World, audience: str) -> None:
    await world.add(KARI)
    answer = await give(await world.logged_in(KARI), audience)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:samband:auth:unknown-audience")


@pytest.mark.goal("sec-A10")
async def test_rights_are_those_of_the_moment(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    await let_act(owner, account.id, "cases.payroll")
    browser = await world.logged_in(KARI)
    await owner.execute("delete from auth.grants")
    claims = read(world, (await give(browser, "cases")).json()["access_token"], "cases")
    assert (claims.rights, claims.organisation_id) == (frozenset(), None)


@pytest.mark.goal("sec-A10")
@pytest.mark.parametrize(
    "end",
    [
        "update auth.sessions set ended_at = now()",
        "update auth.sessions set seen_at = now() - interval '30 minutes'",
        "update auth.sessions set ends_at = now()",
        "update auth.accounts set active = false",
    ],
)
async def test_a_session_that_is_over_gives_no_token(world: World, owner: Owner, end: str) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    await owner.execute(end)
    assert [
        (await give(browser, "cases")).status_code,
        (await browser.send("POST", "/v1/refresh-tokens")).status_code,
    ] == [
        401,
        401,
    ]


@pytest.mark.goal("sec-A10")
async def test_a_token_that_is_given_in_the_moment_of_the_log_out_is_void_or_not_given(
    world: World, owner: Owner
) -> None:
    world = world.limited(codes_per_quarter=50)
    await world.add(KARI)
    given = 0
    for _ in range(8):
        browser = await world.logged_in(KARI)
        asking = [asyncio.create_task(give(browser, "auth")) for _ in range(3)]
        answers = [*await asyncio.gather(*asking[:2], browser.send("DELETE", "/v1/session"), *asking[2:])]
        told = [answer.json()["access_token"] for answer in answers if answer.status_code == httpx2.codes.CREATED]
        async with world.database.transaction() as conn:
            sessions_void, _ = await voids.find_voided(conn)
        assert {read(world, token, "auth").session_id for token in told} <= sessions_void
        assert {answer.status_code for answer in answers} <= {201, 204, 401}
        given += len(told)
    assert given > 0


@pytest.mark.goal("sec-A10")
async def test_auth_knows_its_own_token_until_its_session_ends(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    await let_act(owner, account.id, "auth.superuser")
    browser = await world.logged_in(KARI)
    token = (await give(browser, "auth")).json()["access_token"]
    await mirror(world)
    assert (await carried(world, token)).json() == (await browser.session()).json()
    for other in ((await give(browser, "cases")).json()["access_token"], token + "x", ""):
        assert (await carried(world, other)).status_code == 401
    await browser.send("DELETE", "/v1/session")
    await mirror(world)
    answer = await carried(world, token)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:samband:problem:token-refused")


@pytest.mark.goal("sec-A10")
async def test_a_token_of_a_session_that_has_ended_changes_nothing_though_it_is_not_known_yet_to_be_void(
    world: World, owner: Owner
) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = (await give(browser, "auth")).json()["access_token"]
    await mirror(world)
    await browser.send("DELETE", "/v1/session")
    for method, path in (("GET", "/v1/session"), ("POST", "/v1/refresh-tokens"), ("DELETE", "/v1/sessions")):
        assert (await carried(world, token, method, path)).status_code == 401


@pytest.mark.goal("sec-A11")
async def test_a_token_gives_no_other_token(world: World, owner: Owner) -> None:
    await world.add(KARI)
    token = (await give(await world.logged_in(KARI), "auth")).json()["access_token"]
    await mirror(world)
    assert (await carried(world, token)).status_code == 200
    for path, body in (("/v1/access-tokens", {"json": {"audience": "auth"}}), ("/v1/refresh-tokens", {})):
        answer = await carried(world, token, "POST", path, **body)
        assert (answer.status_code, answer.json().get("type")) == (401, "urn:samband:auth:not-logged-in")
    assert await owner.fetchval("select count(*) from auth.refresh_families") == 0


@pytest.mark.goal("sec-A10")
async def test_auth_refuses_its_own_tokens_of_whoever_is_voided_though_the_bus_says_nothing(world: World) -> None:
    account = await world.add(KARI)
    token = (await give(await world.logged_in(KARI), "auth")).json()["access_token"]
    await mirror(world)
    assert (await carried(world, token, "GET", "/v1/me")).status_code == 200
    async with world.database.transaction() as conn:
        await security.void_tokens(conn, account.id)
    await mirror(world)
    answer = await carried(world, token, "GET", "/v1/me")
    assert (answer.status_code, answer.json().get("type")) == (401, "urn:samband:problem:token-refused")


@pytest.mark.goal("sec-A10")
async def test_a_program_logs_out_by_its_token_and_is_not_told_so_when_it_did_not(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token, other = [(await give(browser, audience)).json()["access_token"] for audience in ("auth", "cases")]
    await mirror(world)
    for bad in (other, token + "x", ""):
        assert (await carried(world, bad, "DELETE", "/v1/session")).status_code == 401
    assert (await browser.session()).status_code == 200
    assert (await carried(world, token, "DELETE", "/v1/session")).status_code == 204
    assert (await browser.session()).status_code == 401
    session_id = await owner.fetchval("select id from auth.sessions")
    assert await voided(owner) == [(session_id, None)]


async def mirror(world: World) -> None:
    """Let auth's api know which tokens are void, as its loop does."""
    async with world.database.transaction() as conn:
        world.voids.update(*await voids.find_voided(conn))


@pytest.mark.goal("sec-A11")
async def test_the_keys_and_what_programs_must_know_are_shown_to_everybody(world: World) -> None:
    browser = world.browser()
    metadata = (await browser.send("GET", "/.well-known/oauth-authorization-server")).json()
    keys = (await browser.send("GET", metadata["jwks_uri"].removeprefix(ISSUER))).json()["keys"]
    assert (metadata["issuer"], metadata["token_endpoint"]) == (ISSUER, f"{ISSUER}/v1/oauth/token")
    assert set(metadata["grant_types_supported"]) == {"refresh_token", "client_credentials"}
    assert [(key["kid"], "d" in key) for key in keys] == [("auth-tokens-1", False)]


@pytest.mark.goal("sec-A11")
async def test_no_token_stands_in_the_database(world: World, owner: Owner) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    token = (await give(browser, "cases")).json()["access_token"]
    refresh = (await browser.send("POST", "/v1/refresh-tokens")).json()["refresh_token"]
    rows = str(await owner.fetch("select s::text, f::text from auth.sessions s, auth.refresh_families f"))
    assert UUID(refresh.split(".")[0]).hex in rows.replace("-", "")
    assert not [secret for secret in (token.split(".")[2], refresh.split(".")[2]) if secret in rows]


@pytest.mark.goal("sec-A10")
async def test_after_a_restore_no_token_from_before_is_good_and_those_after_it_are(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    browser = await world.logged_in(KARI)
    before = (await give(browser, "auth")).json()["access_token"]
    async with world.database.transaction() as conn:
        epoch = (await restores.note(conn)).epoch
        await restore.end_all(conn)
    told = await owner.fetchval("select payload from auth.outbox where type = $1", TokensVoided.type)
    voided = TokensVoided.model_validate_json(told)
    assert (voided.account_id, voided.session_id, voided.below_epoch) == (account.id, None, epoch << 32)
    async with world.database.transaction() as conn:
        await voids.note(conn, voided)
    after = (await give(await world.logged_in(KARI), "auth")).json()["access_token"]
    await mirror(world)
    assert [(await carried(world, token)).status_code for token in (before, after)] == [401, 200]


@pytest.mark.goal("sec-A10")
async def test_what_voids_an_account_s_tokens_ends_its_chains_but_that_of_the_session_that_is_left(
    world: World, owner: Owner
) -> None:
    account = await world.add(KARI)
    left, ended = await world.logged_in(KARI), await world.logged_in(KARI)
    chains = [(await each.send("POST", "/v1/refresh-tokens")).json()["refresh_token"] for each in (left, ended)]
    found = (await left.send("GET", "/v1/sessions")).json()["items"]
    (kept,) = [UUID(each["session_id"]) for each in found if each["current"]]
    async with world.database.transaction() as conn:
        await security.void_tokens(conn, account.id, except_session=kept)
    forms = [{"grant_type": "refresh_token", "refresh_token": each, "audience": "auth"} for each in chains]
    answers = [await world.browser().send("POST", "/v1/oauth/token", data=form) for form in forms]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert read(world, answers[0].json()["access_token"], "auth").epoch == (1 << 32) + 2
