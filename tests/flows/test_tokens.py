"""Sessions and tokens over real processes: ended in one api and refused in another, and none lost or doubled by a death."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from joserfc import jws

from chassis import signing, tokens
from chassis.signing import ALGORITHMS
from deploy.local.journey import Observer, Person, code_in
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ISSUER, SYSTEM, Platform
from services.auth.sessions.token_api import BEARER_ASSERTION
from tests.flows.conftest import Crowd
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)


async def logged_in(crowd: Crowd, mailbox: Mailbox) -> Person:
    (person,) = await crowd.add(1)
    await person.ask()
    (mail,) = await mailbox.wait_for(1, to=person.address, within=40)
    assert (await person.redeem(code_in(mail))).status_code == httpx2.codes.CREATED
    return person


async def token_of(person: Person, audience: str = "auth") -> str:
    answer = await person.send("POST", "/v1/access-tokens", {"audience": audience})
    assert answer.status_code == httpx2.codes.CREATED, answer.text
    return str(answer.json()["access_token"])


async def exchange(samband: Platform, token: str) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "audience": "cases"}
    async with httpx2.AsyncClient(base_url=samband.url("auth", "api")) as client:
        return await client.post("/v1/oauth/token", data=form)


@asynccontextmanager
async def dying_at(samband: Platform, place: str) -> AsyncIterator[None]:
    """Have auth's api die when it reaches a place, and start it again at the end."""
    await samband.processes["auth", "api"].stop(within=40)
    doomed = await samband.start(
        "auth", "api", program=("tests.support.crashing",), extra={"SAMBAND_TEST_FAILPOINT": place}
    )
    try:
        yield
        assert await doomed.wait() == -9
    finally:
        await samband.start("auth", "api")


@pytest.mark.goal("sec-A10")
async def test_a_session_that_is_ended_in_one_api_is_refused_in_another_within_a_second(
    samband: Platform, mailbox: Mailbox, crowd: Crowd, observer: Observer
) -> None:
    person = await logged_in(crowd, mailbox)
    token, before = await token_of(person), len(observer.of("TokensVoided"))
    await samband.start("auth", "api-2")
    try:
        async with httpx2.AsyncClient(base_url=samband.url("auth", "api-2")) as elsewhere:

            async def status() -> int:
                return (await elsewhere.get("/v1/sessions", headers={"Authorization": f"Bearer {token}"})).status_code

            assert await status() == httpx2.codes.OK
            assert (await person.send("DELETE", "/v1/session")).status_code == httpx2.codes.NO_CONTENT
            ended = time.monotonic()

            async def refused() -> bool:
                return await status() == httpx2.codes.UNAUTHORIZED

            await until(refused, what="the token refused")
            assert time.monotonic() - ended < 1
    finally:
        await samband.processes["auth", "api-2"].stop(within=40)
    await observer.wait_for("TokensVoided", before + 1)


@pytest.mark.goal("sec-A12")
async def test_an_exchange_whose_answer_is_lost_is_made_again_and_goes_on(
    samband: Platform, mailbox: Mailbox, crowd: Crowd
) -> None:
    person = await logged_in(crowd, mailbox)
    token = (await person.send("POST", "/v1/refresh-tokens")).json()["refresh_token"]
    async with dying_at(samband, "refresh.rotated"):
        with pytest.raises(httpx2.TransportError):
            await exchange(samband, token)
    again, twin = [await exchange(samband, token) for _ in range(2)]
    assert (again.status_code, twin.status_code) == (httpx2.codes.OK, httpx2.codes.OK)
    assert again.json()["refresh_token"] == twin.json()["refresh_token"]
    assert (await person.who_am_i()).status_code == httpx2.codes.OK


@pytest.mark.goal("sec-A10")
@pytest.mark.goal("rel-R5")
async def test_a_session_ends_with_what_is_told_of_it_or_not_at_all(
    samband: Platform,
    mailbox: Mailbox,
    crowd: Crowd,
    owner_of_run: "asyncpg.Connection[asyncpg.Record]",
    observer: Observer,
) -> None:
    person = await logged_in(crowd, mailbox)
    before = len(observer.of("TokensVoided"))
    async with dying_at(samband, "sessions.ended"):
        with pytest.raises(httpx2.TransportError):
            await person.send("DELETE", "/v1/session")
    assert await owner_of_run.fetchval("select count(*) from auth.outbox where type like '%TokensVoided%'") == 0
    assert (await person.who_am_i()).status_code == httpx2.codes.OK
    assert (await person.send("DELETE", "/v1/session")).status_code == httpx2.codes.NO_CONTENT
    await observer.wait_for("TokensVoided", before + 1)
    assert len(observer.of("TokensVoided")) == before + 1


async def test_a_proof_of_a_system_is_not_used_up_by_a_death(samband: Platform) -> None:
    key = signing.read_key(samband.system_key)
    claims: dict[str, Any] = {"iss": SYSTEM, "sub": SYSTEM, "aud": ISSUER, "exp": int(time.time()) + 240}
    content = json.dumps(claims | {"jti": str(uuid4())}).encode()
    algorithm = ALGORITHMS[str(key.curve_name)]
    registry = jws.JWSRegistry(algorithms=[algorithm])
    proof = jws.serialize_compact({"alg": algorithm, "kid": key.kid}, content, key, registry=registry)
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": BEARER_ASSERTION,
        "client_assertion": proof,
        "audience": "cases",
    }

    async def sign_in() -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=samband.url("auth", "api")) as client:
            return await client.post("/v1/oauth/token", data=form)

    async with dying_at(samband, "clients.signed_in"):
        with pytest.raises(httpx2.TransportError):
            await sign_in()
    first, second = [await sign_in() for _ in range(2)]
    assert (first.status_code, second.status_code) == (httpx2.codes.OK, httpx2.codes.UNAUTHORIZED)
    public = tokens.read_keys(Path(samband.environments["auth"]["SAMBAND_TOKEN_KEYS"]))
    found = tokens.Verifier(public, issuer=ISSUER, audience="cases").verify(first.json()["access_token"])
    assert (found.system, found.organisation_id) == (SYSTEM, None)


async def test_the_terms_that_the_product_brings_are_published_again_without_effect(
    samband: Platform, owner_of_run: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for _ in range(2):
        await samband.publish_terms()
    text = await owner_of_run.fetchval("select text from auth.terms_texts")
    assert "epost og brev fra Eksempelforbundet som omhandler" in text
    assert await owner_of_run.fetchval("select count(*) from auth.terms_texts") == 1
