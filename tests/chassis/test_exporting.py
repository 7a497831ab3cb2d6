"""Exporting: an endpoint that is away, slow or refuses costs spans; a setting that cannot be is named in words."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from prometheus_client import REGISTRY

from chassis import exporting, settings, tracing
from chassis.errors import Misconfigured
from chassis.settings import TracingSettings
from deploy.local.ports import LOOPBACK, free_port
from tests.chassis.http_app import logged

QUEUE = 64
MANY = 5_000
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("samband_spans_total", {"outcome": outcome}) or 0


@contextmanager
def answering(status: int, *, after: threading.Event | None = None) -> Iterator[str]:
    """An endpoint that answers with one status, once `after` is set."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if after is not None:
                after.wait(30)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Answer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> TracingSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings.read(TracingSettings, "things")


def export(monkeypatch: pytest.MonkeyPatch, url: str, count: int) -> tuple[float, float]:
    """Record so many spans; gives the seconds that the work and the end took."""
    quick = {
        "OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE),
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16",
        "OTEL_TRACES_SAMPLER_ARG": "1",
    }
    found = read(monkeypatch, {ENDPOINT: url, **quick})
    began = time.monotonic()
    with exporting.exporting("things", "1", found):
        for _ in range(count):
            with tracing.resumed("work", None):
                pass
        worked = time.monotonic()
    return worked - began, time.monotonic() - worked


def test_spans_are_sent_by_the_end_of_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    before = counted("sent")
    with answering(200) as url:
        export(monkeypatch, url, 10)
    assert counted("sent") == before + 10


def test_an_endpoint_that_refuses_loses_spans_and_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = counted("lost"), counted("recorded")
    with answering(400) as refusing, logged() as lines:
        export(monkeypatch, refusing, 40)
    assert (counted("lost"), counted("recorded")) == (before[0] + 40, before[1] + 40)
    assert [line["event"] for line in lines].count("spans_lost") == 1


def test_an_endpoint_that_is_away_is_not_tried_any_more_once_the_end_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    others, before = set(threading.enumerate()), counted("lost")
    _, ended = export(monkeypatch, f"http://{LOOPBACK}:{free_port()}", 40)
    assert ended < exporting.FLUSH_SECONDS + 1
    left = set(threading.enumerate()) - others
    for thread in left:
        thread.join(exporting.FLUSH_SECONDS)
    assert [thread.name for thread in left if thread.is_alive()] == []
    assert counted("lost") == before + 40


def test_an_endpoint_that_hangs_holds_up_neither_the_work_nor_the_end_and_few_spans_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting: list[int] = []
    keep = BatchSpanProcessor.on_end

    def look(processor: Any, span: Any) -> None:
        keep(processor, span)
        waiting.append(len(processor._batch_processor._queue))

    monkeypatch.setattr(BatchSpanProcessor, "on_end", look)
    released, before = threading.Event(), counted("lost")
    with answering(200, after=released) as url:
        worked, ended = export(monkeypatch, url, MANY)
        lost = counted("lost") - before
        released.set()
    assert worked < 10
    assert ended < exporting.FLUSH_SECONDS + 1
    assert max(waiting) == QUEUE
    assert MANY - QUEUE - 2 * 16 <= lost <= MANY - QUEUE


def test_a_trace_that_is_sampled_upstream_is_recorded_here_and_one_that_is_not_is_not() -> None:
    sampler = exporting.sampler(TracingSettings(traces_sampler_arg=0))
    for flags, wanted in (("01", Decision.RECORD_AND_SAMPLE), ("00", Decision.DROP)):
        context = tracing._at(f"00-{'1' * 32}-{'2' * 16}-{flags}")
        assert sampler.should_sample(context, 1, "work").decision is wanted
    assert sampler.should_sample(None, 1, "work").decision is Decision.DROP


@pytest.mark.parametrize(
    ("name", "share", "wanted"),
    [("always_on", 0, True), ("always_off", 1, False), ("traceidratio", 1, True), ("traceidratio", 0, False)],
)
@pytest.mark.parametrize("prefix", ["", "parentbased_"])
def test_the_samplers_of_opentelemetry_can_be_named(prefix: str, name: str, share: float, wanted: bool) -> None:
    chosen = TracingSettings.model_validate({"traces_sampler": prefix + name, "traces_sampler_arg": share})
    decision = exporting.sampler(chosen).should_sample(None, 1, "work").decision
    assert decision is (Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP)


def test_nothing_is_wanted_unless_an_endpoint_is_named_and_not_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not read(monkeypatch, {}).wanted
    assert not read(monkeypatch, {ENDPOINT: ""}).wanted
    named = read(monkeypatch, {ENDPOINT: "http://collector:4318"})
    assert named.wanted
    assert (named.traces_sampler, named.traces_sampler_arg) == ("parentbased_traceidratio", 0.1)
    assert not read(monkeypatch, {"OTEL_TRACES_EXPORTER": "none"}).wanted
    assert not read(monkeypatch, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}).wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "collector:4318"),
        (ENDPOINT, "ftp://kanarifugl@collector"),
        ("OTEL_TRACES_SAMPLER", "kanarifugl"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "kanarifugl"),
    ],
)
def test_a_variable_that_cannot_be_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(Misconfigured) as raised:
        read(monkeypatch, {name: value})
    assert name in str(raised.value)
    assert "kanarifugl" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_BSP_MAX_QUEUE_SIZE", "0"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096")]
)
def test_a_variable_of_the_exporter_that_cannot_be_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    found = read(monkeypatch, {ENDPOINT: "http://collector:4318", name: value})
    with pytest.raises(Misconfigured, match="things cannot start"), exporting.exporting("things", "1", found):
        pass
