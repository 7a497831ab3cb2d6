"""A request followed through the real processes: HTTP, outbox, Kafka, inbox, SMTP; what they show; an endpoint that hangs."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Sequence

import httpx2
import pytest

from deploy.local.folders import own_folder
from deploy.local.journey import Person, code_in
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ROLES, Platform, platform
from deploy.local.stack import Running
from tests.conftest import given
from tests.flows.conftest import SETTINGS, Crowd
from tests.support.queries import asked_for, queries
from tests.support.spans import Collector, Sent, collecting
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)

WORKERS = (("auth", "worker"), ("notifications", "worker"))
WAY = (
    ("auth", "POST /v1/login-codes"),
    ("auth", "issue code"),
    ("auth", "send auth.codes.v1"),
    ("notifications", "process auth.OtpRequested.v1"),
    ("notifications", "send mail"),
    ("notifications", "send notifications.deliveries.v1"),
)
FOLLOWS = {1: 0, 2: 1, 3: 1, 4: 3, 5: 4}
"""Which span of the way each one goes on from: what is written down is named by who wrote it, not by who sent it."""


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as found:
        yield found


@pytest.fixture(scope="module")
async def samband(mailbox: Mailbox, collector: Collector) -> AsyncIterator[Platform]:
    """Every role, sending all its spans soon."""
    sending = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER_ARG": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with own_folder("test") as folder:
        running = Running(folder, given("SAMBAND_LOCAL_POSTGRES"), given("SAMBAND_LOCAL_KAFKA"))
        async with platform(running, smtp_port=mailbox.smtp_port, settings=SETTINGS | sending) as made:
            await asyncio.gather(*(made.start(*role) for role in ROLES))
            yield made


async def the_way(collector: Collector, asked: Sent) -> list[Sent]:
    """Wait until a request's trace holds its whole way."""

    async def whole() -> list[Sent] | None:
        own = {(span.service, span.name): span for span in collector.spans if span.trace == asked.trace}
        return [own[step] for step in WAY] if own.keys() >= set(WAY) else None

    return await until(whole, what="the spans of the whole way", seconds=40)


def expect_connected(way: Sequence[Sent]) -> None:
    assert way[0].parent == ""
    for n, before in FOLLOWS.items():
        assert way[n].parent == way[before].id


async def asked(collector: Collector, count: int) -> list[Sent]:
    async def found() -> list[Sent] | None:
        spans = collector.named("POST /v1/login-codes")
        return spans if len(spans) >= count else None

    return await until(found, what=f"{count} requests in the traces")


@pytest.mark.goal("sec-P1")
async def test_a_request_is_one_trace_from_http_to_the_mail_without_a_word_of_the_person(
    collector: Collector, mailbox: Mailbox, crowd: Crowd, samband: Platform
) -> None:
    (person,) = await crowd.add(1)
    collector.spans.clear()
    assert (await person.ask()).status_code == httpx2.codes.ACCEPTED
    (request,) = await asked(collector, 1)
    way = await the_way(collector, request)
    expect_connected(way)
    assert way[4].attributes["samband.mail_verdict"] == "taken"
    (mail,) = await mailbox.wait_for(1, to=person.address)
    code = code_in(mail)
    assert (await person.redeem(code)).status_code == httpx2.codes.CREATED
    await until(lambda: _came(collector, "POST /v1/sessions"), what="the span of the log-in")
    _expect_nothing_of(person, code, collector.raw)
    logs = [path.read_text() for path in samband.running.folder.glob("auth-api.log")]
    assert f'"trace_id": "{request.trace}"' in logs[0]


async def _came(collector: Collector, name: str) -> bool:
    return bool(collector.named(name))


def _expect_nothing_of(person: Person, code: str, sent: bytes) -> None:
    assert len(sent) > 1_000
    cookies = [value.encode() for value in person.cookies.values()]
    assert len(cookies) == 2
    for canary in (person.address.encode(), person.challenge["reference"].encode(), *cookies):
        for form in (canary, base64.b64encode(canary)[:-4], canary.decode().encode("utf-16-le")):
            assert form not in sent
    # Ids are written in hexadecimal and hold six digits in a row now and then.
    assert re.search(rb"(?<![0-9a-f-])" + code.encode() + rb"(?![0-9a-f-])", sent) is None
    for form in (base64.b64encode(code.encode()), code.encode("utf-16-le")):
        assert form not in sent


async def test_traces_outlive_workers_that_were_away_and_a_batch_that_joins_them_links_to_each(
    collector: Collector, mailbox: Mailbox, crowd: Crowd, samband: Platform
) -> None:
    people = await crowd.add(6)
    for role in WORKERS:
        await samband.processes[role].stop(within=40)
    collector.spans.clear()
    for person in people:
        assert (await person.ask()).status_code == httpx2.codes.ACCEPTED
    requests = await asked(collector, len(people))
    await samband.start("auth", "worker")
    await until(lambda: _sent(collector, len(people)), what="all codes on their way")
    await samband.start("notifications", "worker")
    ways = await asyncio.gather(*(the_way(collector, request) for request in requests))
    for way in ways:
        expect_connected(way)

    async def joined() -> list[Sent] | None:
        return [span for span in collector.named("receive urgent") if len(span.links) > 1] or None

    for batch in await until(joined, what="the batch's own span"):
        of = {trace for trace, _ in batch.links}
        assert of <= {request.trace for request in requests}
        processed = [way[3] for way in ways if way[0].trace in of]
        assert len(processed) == len(of)
        assert all((batch.trace, batch.id) in span.links for span in processed)


async def _sent(collector: Collector, count: int) -> bool:
    return len({span.trace for span in collector.named("send auth.codes.v1")}) >= count


async def test_what_dashboards_and_alerts_ask_for_is_shown_by_the_processes(samband: Platform) -> None:
    shown: set[str] = set()
    async with httpx2.AsyncClient() as client:
        for role in ROLES:
            text = (await client.get(samband.url(*role) + "/metrics")).text
            families = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
            parts = {"histogram": ("_bucket", "_count", "_sum")}
            shown |= {name + part for name, kind in families.items() for part in parts.get(kind, ("",))}
    assert asked_for(queries()) - shown == {"up"}  # Which Prometheus itself makes.


async def test_an_endpoint_that_never_answers_holds_up_neither_work_nor_the_end(
    collector: Collector, mailbox: Mailbox, crowd: Crowd, samband: Platform
) -> None:
    (person,) = await crowd.add(1)
    collector.hangs, before = True, collector.asked
    assert (await person.ask()).status_code == httpx2.codes.ACCEPTED
    (mail,) = await mailbox.wait_for(1, to=person.address, within=40)
    assert (await person.redeem(code_in(mail))).status_code == httpx2.codes.CREATED

    async def tried() -> bool:
        return collector.asked >= before + len(ROLES)

    await until(tried, what="spans of every process on their way")

    async def stop(service: str, role: str) -> float:
        began = time.monotonic()
        assert await samband.processes[service, role].stop(within=40) == 0
        return time.monotonic() - began

    assert max(await asyncio.gather(*(stop(*role) for role in ROLES))) < 10
