"""Tracing: what is recorded where a request enters, is written down, travels and is taken up again."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import opentelemetry.trace
import pytest
import structlog
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from chassis import http, logging, outbox, tracing
from chassis.arrival import Arrival
from chassis.kafka import Sender
from chassis.postgres import Database
from chassis.relay import Relay
from contracts.topics import ACCOUNTS
from tests.chassis import http_app
from tests.chassis.http_app import SECRET, client_of
from tests.conftest import ROOT, Bus, Clone
from tests.support.effects import Owner, expect_effects
from tests.support.lanes import consuming, handlers, headers
from tests.support.spans import linked, recorded, trace_of
from tests.support.things import ThingHappened, happened

THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
THEIR_TRACE = THEIRS.split("-")[1]
CANARY = "kanarifugl"


def app(*, trust_traceparent: bool = False) -> FastAPI:
    return http.create_app(title="demo", version="1", routers=[http_app.router], trust_traceparent=trust_traceparent)


async def test_a_request_is_a_span_by_its_route_without_what_was_asked_or_sent() -> None:
    with recorded() as spans:
        async with client_of(app()) as client:
            identity = str(uuid4())
            await client.get(f"/v1/things/{identity}?limit=7&canary={CANARY}", headers={"x-request-id": CANARY})
            await client.post("/v1/things", json={"name": CANARY}, headers={"cookie": f"session={CANARY}"})
            await client.get(f"/{CANARY}", headers={"user-agent": CANARY, "host": CANARY, "baggage": f"a={CANARY}"})
            await client.request("BREW", f"/{CANARY}")
            await client.get("/livez")
    found = spans.get_finished_spans()
    assert [span.name for span in found] == [
        "GET /v1/things/{thing_id}",
        "POST /v1/things",
        "GET unmatched",
        "OTHER unmatched",
    ]
    assert [(span.attributes or {})["http.response.status_code"] for span in found] == [200, 201, 404, 404]
    assert {span.kind for span in found} == {SpanKind.SERVER}
    assert len({trace_of(span) for span in found}) == 4
    written = "".join(span.to_json() for span in found)
    assert CANARY not in written
    assert identity not in written
    assert "demo.test" not in written


async def test_a_request_that_fails_is_marked_without_the_text_of_the_error() -> None:
    with recorded() as spans, http_app.logged():
        async with client_of(app()) as client:
            assert (await client.get("/v1/errors/bug")).status_code == 500
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.events == ()
    assert SECRET not in span.to_json()


async def test_fastapi_records_nothing_of_its_own_where_it_finds_a_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would begin by itself, and send paths, queries and hosts."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", provider)
    bare = FastAPI()
    for each, own in ((app(), 0), (bare, 1)):
        async with client_of(each) as client:
            await client.get(f"/v1/things/{uuid4()}?canary={CANARY}")
        assert len(exporter.get_finished_spans()) == own


async def test_a_callers_trace_is_linked_unless_callers_are_trusted_with_it() -> None:
    with recorded() as spans:
        for trusts in (False, True):
            async with client_of(app(trust_traceparent=trusts)) as client:
                await client.get(f"/v1/things/{uuid4()}", headers={"traceparent": THEIRS})
    own, theirs = spans.get_finished_spans()
    assert trace_of(own) != THEIR_TRACE
    assert own.parent is None
    assert linked(own) == {THEIR_TRACE}
    assert trace_of(theirs) == THEIR_TRACE
    assert theirs.parent is not None


BROKEN = [
    "",
    CANARY,
    THEIRS.upper(),
    THEIRS.replace("00-", "ff-", 1),
    THEIRS[:-1],
    f"{THEIRS}-{CANARY}",
    f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-{THEIR_TRACE}-{'0' * 16}-01",
]


@pytest.mark.parametrize("trusts", [False, True])
async def test_a_callers_broken_trace_is_passed_over(trusts: bool) -> None:
    with recorded() as spans:
        async with client_of(app(trust_traceparent=trusts)) as client:
            for broken in BROKEN:
                answer = await client.get(f"/v1/things/{uuid4()}", headers={"traceparent": broken})
                assert answer.status_code == 200
    found = spans.get_finished_spans()
    assert len(found) == len(BROKEN)
    assert all(span.parent is None and not span.links for span in found)


ANY = st.binary(max_size=80) | st.text(max_size=80) | st.from_regex(tracing.TRACEPARENT, fullmatch=True)


@given(header=ANY)
@example(header=THEIRS)
def test_whatever_a_header_holds_is_no_trace_or_one_that_can_be_gone_on_in(header: str | bytes) -> None:
    found = tracing.read_header(header)
    with tracing.resumed("work", found):
        assert tracing.traceparent() == found


@pytest.mark.parametrize("broken", [*BROKEN, "\xff\xfe"])
def test_a_messages_broken_trace_costs_the_message_nothing(broken: str) -> None:
    raw = [*headers(ThingHappened.type), ("traceparent", broken.encode("latin-1"))]
    arrival = Arrival("auth.accounts.v1", 0, 0, None, b"{}", tuple(raw))
    assert Arrival.unpack(arrival.pack()).traceparent is None
    assert Arrival.unpack(arrival.pack()).fault is None


async def test_log_lines_say_in_which_trace_they_were_written() -> None:
    with recorded() as spans, tracing.resumed("work", THEIRS):
        line = logging.name_trace(structlog.get_logger(), "info", {"event": "worked"})
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert line == {"event": "worked", "trace_id": THEIR_TRACE, "span_id": f"{span.context.span_id:016x}"}
    assert logging.name_trace(structlog.get_logger(), "info", {"event": "worked"}) == {"event": "worked"}


async def test_without_an_exporter_a_trace_is_passed_on_and_none_is_begun(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database.transaction() as conn:
        with tracing.resumed("work", THEIRS):
            await outbox.add(conn, happened(1))
        with tracing.resumed("work", None):
            await outbox.add(conn, happened(2))
    rows = await owner.fetch("select headers from things.outbox order by id")
    assert [json.loads(row["headers"]).get("traceparent") for row in rows] == [THEIRS, None]


def test_without_an_endpoint_no_process_loads_the_sdk() -> None:
    code = "import sys, services.auth.__main__, services.notifications.__main__; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert "chassis.tracing" in loaded
    assert not [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "requests"))]


async def _owe_in_traces(database: Database, thing: object, *numbers: int) -> list[str]:
    """Owe a message in a trace of its own each; gives the traces."""
    traces = []
    for n in numbers:
        async with database.transaction() as conn:
            with tracing.resumed("ask", None):
                await outbox.add(conn, happened(n, thing))  # type: ignore[arg-type]
                traces.append(str(tracing.traceparent()).split("-")[1])
    return traces


async def _relay(clone: Clone, bus: Bus, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Let a relay that is started now send what is owed."""
    relay = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", bus.prefix))
    async with relay.leadership() as conn:
        while await relay.tick(conn):
            pass
    await relay._sender.close()
    assert await owner.fetchval("select count(*) from things.outbox") == 0


@pytest.mark.usefixtures("effects", "quick_retries")
async def test_messages_of_many_traces_that_travel_together_are_followed_in_each_and_linked_to_their_batch(
    database: Database, clone: Clone, bus: Bus, owner: Owner
) -> None:
    thing, failed = uuid4(), set()

    async def fail_once(n: int) -> None:
        if n == 3 and n not in failed:
            failed.add(n)
            raise ValueError(CANARY)

    with recorded() as spans:
        traces = await _owe_in_traces(database, thing, 1, 2, 3)
        await _relay(clone, bus, owner)
        async with consuming(database, bus, handlers(fail_once)):
            await expect_effects(owner, thing, 1, 2, 3)
    found = spans.get_finished_spans()
    assert len(set(traces)) == 3
    sends = [span for span in found if span.name == f"send {ACCOUNTS.name}"]
    (sent,) = [span for span in sends if linked(span) == set(traces)]
    (received,) = [span for span in found if span.name == "receive urgent"]
    assert linked(received) == set(traces)
    for trace in traces:
        (own_send,) = [span for span in sends if trace_of(span) == trace and span is not sent]
        assert own_send.links[0].context == sent.context
        processed = [span for span in found if span.name.startswith("process") and trace_of(span) == trace]
        assert processed[0].links[0].context == received.context
        assert len(processed) == (2 if trace == traces[2] else 1)  # What failed is tried again in its own trace.
    _expect_no_canary(found)


def _expect_no_canary(found: tuple[ReadableSpan, ...]) -> None:
    failures = [span for span in found if not span.status.is_ok]
    assert [(span.attributes or {})["error.type"] for span in failures] == ["ValueError"]
    assert CANARY not in "".join(span.to_json() for span in found)


async def test_a_message_alone_is_followed_without_a_batch(
    database: Database, clone: Clone, bus: Bus, owner: Owner
) -> None:
    with recorded() as spans:
        (trace,) = await _owe_in_traces(database, uuid4(), 1)
        await _relay(clone, bus, owner)
    (sent,) = [span for span in spans.get_finished_spans() if span.name.startswith("send")]
    assert trace_of(sent) == trace
    assert linked(sent) == set()


async def test_what_is_sent_again_from_the_archive_keeps_its_trace(
    database: Database, clone: Clone, bus: Bus, owner: Owner
) -> None:
    with recorded() as spans:
        (trace,) = await _owe_in_traces(database, uuid4(), 1)
        await _relay(clone, bus, owner)
        async with database.transaction() as conn:
            assert await outbox.replay(conn, datetime.now(UTC) - timedelta(hours=1), None) == 1
        await _relay(clone, bus, owner)
    sent = [span for span in spans.get_finished_spans() if span.name.startswith("send")]
    assert [trace_of(span) for span in sent] == [trace] * 2


async def test_what_is_not_sampled_is_not_recorded_further_on(
    database: Database, clone: Clone, bus: Bus, owner: Owner
) -> None:
    with recorded(ALWAYS_OFF):
        await _owe_in_traces(database, uuid4(), 1, 2)
    with recorded() as spans:
        await _relay(clone, bus, owner)
    assert spans.get_finished_spans() == ()


async def test_a_batch_links_to_no_more_traces_than_a_span_may_hold() -> None:
    traces = [f"00-{n:032x}-{n:016x}-01" for n in range(1, 1001)]
    with recorded() as spans, tracing.batch("send", traces, {}, kind=SpanKind.PRODUCER):
        pass
    (span,) = spans.get_finished_spans()
    assert len(span.links) == tracing.MOST_LINKS
    assert (span.attributes or {})["messaging.batch.message_count"] == 1000
