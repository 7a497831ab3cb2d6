"""Spans that this process records, kept in memory; and those that any process sends, kept by an endpoint on loopback."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from chassis import tracing
from deploy.local.ports import LOOPBACK

OK = 200


@contextmanager
def recorded(sampler: Sampler = ALWAYS_ON) -> Iterator[InMemorySpanExporter]:
    """Record every span of this process for the block."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing.recording(provider.get_tracer("tests")):
        yield exporter


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def linked(span: ReadableSpan) -> set[str]:
    """Give the traces that a span links to."""
    return {f"{link.context.trace_id:032x}" for link in span.links}


@dataclass(frozen=True, slots=True)
class Sent:
    """A span as it was sent."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    """Trace and span of each."""
    attributes: dict[str, str]


@dataclass(slots=True)
class Collector:
    """An OTLP/HTTP endpoint that keeps what it is sent, or misbehaves."""

    port: int = 0
    status: int = 200
    hangs: bool = False
    asked: int = 0
    spans: list[Sent] = field(default_factory=list)
    raw: bytes = b""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def named(self, name: str) -> list[Sent]:
        return [span for span in self.spans if span.name == name]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").lower().split("\r\n")
            headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(headers["content-length"]))
            assert lines[0].startswith("post /v1/traces ")
            self.asked += 1
            if self.hangs:
                continue
            if self.status == OK:
                self.keep(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
            writer.write(f"HTTP/1.1 {self.status} \r\ncontent-length: 0\r\n\r\n".encode())

    def keep(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            of = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Sent(
                        of["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                        {each.key: each.value.string_value for each in span.attributes},
                    )
                    for span in scope.spans
                ]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Keep what is sent to `url` for the block."""
    collector = Collector()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await collector.serve(reader, writer)
        except asyncio.IncompleteReadError:  # The sender hung up.
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    collector.port = server.sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        server.close()
