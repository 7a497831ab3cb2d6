"""Services: codes asked for and redeemed over HTTP, mails through the courier, and how soon and how small a worker is."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr

import asyncpg

from bench import usage, web
from bench.crew import Figures
from bench.plan import Plan
from bench.samples import percentile
from bench.servers import Servers
from bench.sink import Sink
from bench.web import Answer, Client
from deploy.local.errors import SetupError
from deploy.local.journey import CODE
from deploy.local.platform import Platform, platform

WORKERS = ("auth", "notifications")
CLIENTS = 16
SLOW_MAIL_SECONDS = 0.05
ACCEPTED, CREATED = 202, 201
ENDLESS = "1000000"
LIMITS = {f"SAMBAND_{name}": ENDLESS for name in ("SOURCE_LIMIT", "CODES_PER_QUARTER")}
"""Everybody asks from one address here."""
COUNT_ISSUED = "select count(*) from auth.outbox_published where type = 'auth.OtpRequested.v1'"
MAIL_SECONDS = 120.0


async def measure(servers: Servers, plan: Plan) -> Figures:
    """Start the platform role by role, and let people ask, be mailed and log in."""
    async with Sink() as sink, platform(servers.running, smtp_port=sink.port, settings=LIMITS) as made:
        figures = await _start(made, plan)
        people = await _add_people(made, plan)
        scene = _Scene(made, sink, plan)
        some = people[: plan.slow_mails]
        await scene.ask(some)
        figures |= await scene.mail(some, SLOW_MAIL_SECONDS)
        figures |= await scene.ask(people)
        figures |= await scene.mail(people, 0.0)
        return figures | await scene.redeem(people)


async def _start(made: Platform, plan: Plan) -> Figures:
    """Start every role alone, workers several times: the median of each one's seconds counts, and the slowest worker's."""
    medians = []
    for service in WORKERS:
        seconds = []
        for _ in range(3):
            began = time.monotonic()
            process = await made.start(service, "worker")
            seconds.append(time.monotonic() - began)
            await process.stop(within=40)
        medians.append(statistics.median(seconds))
    await asyncio.gather(made.start("auth", "api"), made.start("auth", "worker"))
    plan.tell(f"services: a worker is ready {max(medians):.2f} s after it was started")
    return {"worker_ready_seconds": max(medians)}


async def _add_people(made: Platform, plan: Plan) -> list[str]:
    people = [f"medlem{n:05d}@eksempel.example" for n in range(plan.people)]
    await made.run("auth", "accounts", "add", *people, within=300)
    plan.tell(f"  {len(people):,} people have accounts")
    return people


def _memory(made: Platform) -> Figures:
    return {
        f"memory_mib.{service}_{role}": usage.resident_mib(process.pid)
        for (service, role), process in made.processes.items()
        if process.returncode is None
    }


class _Scene:
    """People who ask for codes, get them by mail and log in with them."""

    def __init__(self, made: Platform, sink: Sink, plan: Plan) -> None:
        self._made = made
        self._sink = sink
        self._plan = plan
        self._challenges: dict[str, str] = {}
        self._asked = 0

    async def ask(self, people: Sequence[str]) -> Figures:
        """Ask for everybody's code, and wait until auth's worker has issued all of them."""

        async def ask(client: Client, person: str) -> Answer:
            return await client.post("/v1/login-codes", {"address": person}, cookie=_browser(person))

        load = await web.put(self._made.url("auth", "api"), people, ask, clients=CLIENTS)
        web.require(load.answers, ACCEPTED)
        for person, answer in zip(people, load.answers, strict=True):
            self._challenges[person] = answer.body["challenge_id"]
        self._asked += len(people)
        await _until_published(self._made.admin, self._asked)
        return self._told("codes_asked", load)

    async def mail(self, people: Sequence[str], seconds: float) -> Figures:
        """Start notifications' worker on codes that wait in Kafka, with a server that takes so long over each mail."""
        self._sink.seconds = seconds
        self._sink.mails.clear()
        worker = await self._made.start("notifications", "worker")
        async with asyncio.timeout(MAIL_SECONDS):
            while len(self._sink.mails) < len(people):  # noqa: ASYNC110 -- the sink does nothing but take mails.
                await asyncio.sleep(0.01)
        figures = _memory(self._made)
        await worker.stop(within=40)
        # In the first half the worker still reads, and tries the first messages of each partition one at a time.
        moments = [moment for moment, _ in self._sink.mails][len(people) // 2 :]
        rate = (len(moments) - 1) / (moments[-1] - moments[0])
        took = round(seconds * 1000)
        self._plan.tell(f"  {rate:,.0f} mails/s to a server that takes {took} ms over each")
        return figures | {f"mails.{took}_ms_per_second": rate}

    async def redeem(self, people: Sequence[str]) -> Figures:
        """Log everybody in with the code from the mail."""
        codes = dict(_code_of(text) for _, text in self._sink.mails)

        async def log_in(client: Client, person: str) -> Answer:
            body = {"challenge_id": self._challenges[person], "code": codes[person]}
            return await client.post("/v1/sessions", body, cookie=_browser(person))

        load = await web.put(self._made.url("auth", "api"), people, log_in, clients=CLIENTS)
        web.require(load.answers, CREATED)
        return self._told("codes_redeemed", load)

    def _told(self, name: str, load: web.Load) -> Figures:
        slowest = percentile(load.milliseconds, 99)
        self._plan.tell(f"  {name.replace('_', ' ')}: {load.per_second:,.0f}/s, p99 {slowest:.0f} ms")
        return {f"{name}.per_second": load.per_second, f"{name}.p99_ms": slowest}


async def _until_published(admin: str, count: int) -> None:
    conn = await asyncpg.connect(admin)
    try:
        async with asyncio.timeout(MAIL_SECONDS):
            while await conn.fetchval(COUNT_ISSUED) < count:  # noqa: ASYNC110 -- asked seldom, while others work.
                await asyncio.sleep(0.2)
    finally:
        await conn.close()


def _browser(person: str) -> str:
    return f"__Host-browser=bench-{person.partition('@')[0]}"


def _code_of(text: bytes) -> tuple[str, str]:
    """Give a mail's addressee and the code in it."""
    message = message_from_bytes(text, _class=EmailMessage, policy=policy.default)
    body = message.get_body(preferencelist=("plain",))
    found = CODE.search(body.get_content()) if body is not None else None
    if found is None:
        raise SetupError("a mail without a code")
    return parseaddr(str(message["to"]))[1], found[1]
