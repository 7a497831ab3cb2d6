"""Exporting: spans to an OTLP endpoint from a thread of their own; one that is away, slow or refuses costs spans only.

Loaded only where an endpoint is configured: the SDK and what it sends with take memory.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from chassis import telemetry, tracing
from chassis.errors import Misconfigured
from chassis.settings import TracingSettings

log = structlog.get_logger()

FLUSH_SECONDS = 1.0
"""The most that the end of a process waits for its last spans."""


@contextmanager
def exporting(service: str, version: str, settings: TracingSettings) -> Iterator[None]:
    """Record spans for the block and send them; at its end the last ones have a second to leave.

    Raises `Misconfigured` for a setting of the exporter that cannot be.
    """
    own = {"service.name": service, "service.namespace": "samband", "service.version": version}
    logging.getLogger("opentelemetry").setLevel(
        logging.CRITICAL
    )  # It would say so for every batch; `_Telling` says it once.
    provider = TracerProvider(
        sampler=sampler(settings),
        resource=Resource.create(own).merge(OTELResourceDetector().detect()),
        shutdown_on_exit=False,
    )
    try:
        exporter: SpanExporter = OTLPSpanExporter()
        provider.add_span_processor(_Counting())
        provider.add_span_processor(_Queueing(_Telling(exporter)))
    except ValueError as error:
        raise Misconfigured(f"{service} cannot start, a variable of the OTLP exporter is not right: {error}") from None
    try:
        with tracing.recording(provider.get_tracer("samband")):
            yield
    finally:
        _end(provider, exporter)


def _end(provider: TracerProvider, exporter: SpanExporter) -> None:
    """Let the last spans leave; what has not left within its second is lost, and no thread tries again.

    Only a request under way is waited for in the background, at most `OTEL_EXPORTER_OTLP_TIMEOUT`.
    """
    flushing = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
    flushing.start()
    flushing.join(FLUSH_SECONDS)
    if flushing.is_alive():
        exporter.shutdown()  # Wakes its wait for the next try; it refuses all that waits behind.


def sampler(settings: TracingSettings) -> Sampler:
    """Give what decides which traces are recorded, where they begin; whoever goes on in one keeps to that."""
    match settings.traces_sampler.removeprefix("parentbased_"):
        case "always_on":
            return ParentBased(ALWAYS_ON)
        case "always_off":
            return ParentBased(ALWAYS_OFF)
        case _:
            return ParentBased(TraceIdRatioBased(settings.traces_sampler_arg))


class _Counting(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 -- each counts alike.
        telemetry.SPANS.labels(outcome="recorded").inc()


class _Queueing(BatchSpanProcessor):
    """Counts the spans that are dropped because too many wait."""

    def on_end(self, span: ReadableSpan) -> None:
        queue = self._batch_processor._queue  # noqa: SLF001 -- no public way to see what it drops.
        if len(queue) == queue.maxlen:  # The oldest goes.
            telemetry.SPANS.labels(outcome="lost").inc()
        super().on_end(span)


class _Telling(SpanExporter):
    """Counts what becomes of spans, and says in the log when the endpoint goes and when it is back."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        away = result is not SpanExportResult.SUCCESS
        telemetry.SPANS.labels(outcome="lost" if away else "sent").inc(len(spans))
        if away is not self._away:
            self._away = away
            log.warning("spans_lost" if away else "spans_sent_again")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
