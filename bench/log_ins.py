"""Log-ins: by password, how many a second, what a hundred at once do to the others, and whether time tells who exists."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from bench import usage, web
from bench.crew import Figures
from bench.plan import Plan
from bench.samples import percentile
from bench.servers import Servers
from bench.web import Answer, Client
from deploy.local.platform import Platform, platform
from services.auth.passwords.hashing import Hashing

PASSWORD, WRONG = "fire blåbær under ei bru", "fem tyttebær under ei bru"
NO_MAIL_SERVER = 1
ENDLESS = {"SAMBAND_SOURCE_LIMIT": "1000000"}
AT_ONCE = 100
CREATED, FORBIDDEN, BUSY = 201, 403, 503
LOOK_SECONDS = 0.01
NO_WORK = "/.well-known/jwks.json"
"""Answered from memory: it waits for the event loop alone."""
ALLOWED_MS, ALLOWED_SHARE = 2.0, 0.05
"""How far two medians may lie apart (sec-A9): the larger of both."""
SET_PASSWORD = "insert into auth.passwords (account_id, hash) values ($1, $2)"  # noqa: S105 -- SQL. # nosec B105
SELECT_ACCOUNTS = "select address, id from auth.accounts order by address"
DEACTIVATE = "update auth.accounts set active = false where address like 'sluttet%'"
BLOCK = """
update auth.blocks set blocked_until = now() + interval '15 minutes', told_at = now()
where account_id in (select id from auth.accounts where address like 'blokkert%')"""


async def measure(servers: Servers, plan: Plan) -> Figures:
    """Start auth's api, and let people log in by password."""
    each = plan.people // 10
    async with platform(servers.running, smtp_port=NO_MAIL_SERVER, settings=ENDLESS) as made:
        await made.start("auth", "api")
        kinds = ("medlem", "feil", "sluttet", "blokkert", "mange")
        people = {kind: [f"{kind}{n:04d}@eksempel.example" for n in range(each)] for kind in kinds}
        people["ukjent"] = [f"ukjent{n:04d}@eksempel.example" for n in range(each)]
        await _add(made, [address for kind in kinds for address in people[kind]])
        figures = await _log_in(made, plan, people["medlem"])
        figures |= await _at_once(made, plan, people["mange"])
        return figures | await _alike(made, plan, people)


async def _add(made: Platform, addresses: Sequence[str]) -> None:
    await made.run("auth", "accounts", "add", *addresses, within=300)
    hashing = Hashing(SecretStr(made.environments["auth"]["SAMBAND_PASSWORD_PEPPER"]))
    conn = await asyncpg.connect(made.admin)
    try:
        for _, account_id in await conn.fetch(SELECT_ACCOUNTS):
            kept = await hashing.run(_hash(hashing, account_id))
            await conn.execute(SET_PASSWORD, account_id, kept)
        await conn.execute(DEACTIVATE)
    finally:
        await conn.close()
        hashing.close()


def _hash(hashing: Hashing, account_id: UUID) -> Callable[[], str]:
    return lambda: hashing.hash(account_id, PASSWORD)


async def _log_in(made: Platform, plan: Plan, people: Sequence[str]) -> Figures:
    """Log everybody in, two at a time: one is hashed while the other's statements run."""
    load = await web.put(_url(made), people, _attempt(PASSWORD), clients=2)
    web.require(load.answers, CREATED)
    slowest = percentile(load.milliseconds, 99)
    plan.tell(f"log-ins: {load.per_second:,.0f}/s by password, p99 {slowest:.0f} ms")
    return {"log_ins.per_second": load.per_second, "log_ins.p99_ms": slowest}


async def _at_once(made: Platform, plan: Plan, people: Sequence[str]) -> Figures:
    """Let a hundred log in in the same moment, and see how long the loop lets others wait."""
    chosen = [people[n % len(people)] for n in range(AT_ONCE)]
    load, waits = await _watched(made, web.put(_url(made), chosen, _attempt(PASSWORD), clients=AT_ONCE))
    statuses = {answer.status for answer in load.answers}
    refused = sum(answer.status == BUSY for answer in load.answers)
    if not statuses <= {CREATED, FORBIDDEN, BUSY}:
        web.require(load.answers, CREATED)
    memory = usage.resident_mib(made.processes["auth", "api"].pid)
    plan.tell(
        f"  {AT_ONCE} at once: {refused} sent away, the loop late by {max(waits):.0f} ms at most, {memory:.0f} MiB"
    )
    return {
        "log_ins.at_once.sent_away": refused,
        "log_ins.at_once.loop_late_ms": max(waits),
        "log_ins.at_once.memory_mib": memory,
    }


async def _watched(made: Platform, work: Awaitable[web.Load]) -> tuple[web.Load, list[float]]:
    """Await work; gives how many milliseconds each look at what needs no work took meanwhile."""
    task = asyncio.ensure_future(work)
    waits = []
    while not task.done():
        began = time.monotonic()
        await web.put(_url(made), [()], lambda client, _: client.get(NO_WORK), clients=1)
        waits.append((time.monotonic() - began) * 1000)
        await asyncio.wait([task], timeout=LOOK_SECONDS)
    return await task, waits


async def _alike(made: Platform, plan: Plan, people: Mapping[str, Sequence[str]]) -> Figures:
    """Try one wrong password for each, one kind after the other in turn; compares the medians of the kinds (sec-A9)."""
    kinds = ("feil", "sluttet", "blokkert", "ukjent")
    url, attempt = _url(made), _attempt(WRONG)
    await web.put(url, people["blokkert"], attempt, clients=2)
    await _block(made)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for row in zip(*(people[kind] for kind in kinds), strict=True):
        load = await web.put(url, row, attempt, clients=1)
        web.require(load.answers, FORBIDDEN)
        for kind, answer in zip(kinds, load.answers, strict=True):
            times[kind].append(answer.milliseconds)
    medians = {kind: statistics.median(found) for kind, found in times.items()}
    apart = max(medians.values()) - min(medians.values())
    allowed = max(ALLOWED_MS, ALLOWED_SHARE * min(medians.values()))
    plan.tell(f"  medians of known, inactive, blocked and unknown lie {apart:.2f} ms apart, of {allowed:.2f} allowed")
    return {"log_ins.medians_apart_ms": apart, "log_ins.medians_apart_of_allowed": apart / allowed}


async def _block(made: Platform) -> None:
    conn = await asyncpg.connect(made.admin)
    try:
        await conn.execute(BLOCK)
    finally:
        await conn.close()


def _attempt(password: str) -> Callable[[Client, str], Awaitable[Answer]]:
    async def attempt(client: Client, person: str) -> Answer:
        body = {"login": person, "password": password}
        return await client.post("/v1/sessions/by-password", body, cookie="__Host-browser=bench")

    return attempt


def _url(made: Platform) -> str:
    return made.url("auth", "api")
