"""Tracing: one request followed through HTTP, outbox, Kafka, inbox and mail, by ids alone, and never in the way of work.

Without an exporter OpenTelemetry's no-op stands in: a trace that others began is passed on, and nothing is recorded. The
tracer is this module's own and never the process's: a library that finds one there would record what people send us.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Final

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)

from chassis.settings import TracingSettings, read

Attributes = Mapping[str, str | int]

KAFKA = {"messaging.system": "kafka"}
MOST_LINKS = 128
NOTHING: Final = INVALID_SPAN
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NO_OP = NoOpTracer()
_tracer: Tracer = _NO_OP


@contextmanager
def sending(service: str, version: str) -> Iterator[None]:
    """Record spans for the block, and send them, where the environment names an endpoint; raises `Misconfigured`."""
    settings = read(TracingSettings, service)
    with ExitStack() as stack:
        if settings.wanted:
            from chassis.exporting import exporting  # noqa: PLC0415 -- the SDK takes memory: only where spans are sent.

            stack.enter_context(exporting(service, version, settings))
        yield


@contextmanager
def recording(tracer: Tracer) -> Iterator[None]:
    """Record with this tracer for the block."""
    global _tracer  # noqa: PLW0603 -- one tracer a process, as one registry of metrics.
    _tracer = tracer
    try:
        yield
    finally:
        _tracer = _NO_OP


def read_header(header: str | bytes | None) -> str | None:
    """Read a `traceparent` that came from outside; None for what is none."""
    text = header.decode("latin-1") if isinstance(header, bytes) else header or ""
    return text if TRACEPARENT.fullmatch(text) else None


def traceparent() -> str | None:
    """Name the work under way (W3C Trace Context), to be kept with what will go on from it; None where nobody traces."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def ids() -> dict[str, str]:
    """Name the work under way for a log line; empty where nobody traces."""
    context = get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"} if context.is_valid else {}


@contextmanager
def resumed(
    name: str,
    parent: str | None,
    attributes: Attributes | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Iterable[str | None] = (),
) -> Iterator[Span]:
    """Follow the block in the trace of `parent`, or in a new one; linked to `links`, and to the work that it interrupts.

    `parent` is what `traceparent` or `read_header` gave. What its first service did not sample is recorded nowhere. An
    error that leaves the block marks the span by its type alone: the texts of errors may quote people.
    """
    if not is_sampled(parent) and (parent is not None or _tracer is _NO_OP):
        with _passed_on(parent) as nothing:
            yield nothing
        return
    span = _tracer.start_span(name, _at(parent), kind, attributes, [*_links(links), *_here()])
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except Exception as error:
            fail(span, type(error).__name__)
            raise


@contextmanager
def _passed_on(parent: str | None) -> Iterator[Span]:
    """Record nothing in the block; what is written in it keeps the trace that it is part of."""
    if parent is None:
        yield NOTHING
        return
    span = NonRecordingSpan(_context(parent))
    token = attach(set_span_in_context(span))
    try:
        yield span
    finally:
        detach(token)


@contextmanager
def batch(name: str, parents: Sequence[str | None], attributes: Attributes, *, kind: SpanKind) -> Iterator[None]:
    """Follow the block once for many messages: a span that links to each of their traces, where several are sampled."""
    sampled = [parent for parent in parents if is_sampled(parent)]
    if len(sampled) < 2:  # noqa: PLR2004 -- one joins nothing.
        yield
        return
    counted = {**attributes, "messaging.batch.message_count": len(parents)}
    with resumed(name, sampled[0], counted, kind=kind, links=sampled):
        yield


def note(name: str, parent: str | None, began: int, attributes: Attributes, *, error: str | None = None) -> None:
    """Record, in a message's own trace, that it was sent from `began` (`time.time_ns()`) until now."""
    span = _tracer.start_span(name, _at(parent), SpanKind.PRODUCER, attributes, _here(), start_time=began)
    if error is not None:
        fail(span, error)
    span.end(time.time_ns())


def is_sampled(parent: str | None) -> bool:
    """Tell whether work of this trace is recorded here."""
    return _tracer is not _NO_OP and parent is not None and int(parent[-2:], 16) & 1 == 1


def tell(name: str, value: str | int) -> None:
    """Say something of the work under way in its span."""
    get_current_span().set_attribute(name, value)


def fail(span: Span, error: str) -> None:
    """Mark a span as failed, with a constant name of why."""
    span.set_status(Status(StatusCode.ERROR, error))
    span.set_attribute("error.type", error)


def _at(parent: str | None) -> Context:
    return set_span_in_context(NonRecordingSpan(_context(parent)), Context()) if parent else Context()


def _context(parent: str) -> SpanContext:
    _, trace, span, flags = parent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _here() -> list[Link]:
    context = get_current_span().get_span_context()
    return [Link(context)] if context.is_valid else []


def _links(parents: Iterable[str | None]) -> list[Link]:
    return [Link(_context(parent)) for parent in islice(filter(None, parents), MOST_LINKS)]
