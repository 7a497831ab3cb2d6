"""Tracing: what it costs to follow a tenth of the events, and all of them, against following none, in one run."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bench.crew import Figures, crew
from bench.ground import Ground, ground
from bench.pipeline import medians
from bench.plan import Plan
from bench.servers import Servers
from deploy.local.ports import LOOPBACK

SHARES: Mapping[str, str] = {"none": "", "a_tenth": "0.1", "all": "1"}
"""The share of traces that is recorded; with none there is no endpoint either, whatever the environment says."""

OFF = {"OTEL_SDK_DISABLED": "true"}


async def measure(servers: Servers, plan: Plan) -> Figures:
    """Let the pipeline run flat out with each share in turn, and give the medians of each round's ratios."""
    async with ground(servers) as made, _endpoint() as url:
        rounds: list[Figures] = []
        for n in range(1, plan.repeats + 1):
            plan.tell(f"tracing: round {n} of {plan.repeats}")
            rounds.append(with_ratios(await _round(made, plan, url)))
        return medians(rounds)


async def _round(made: Ground, plan: Plan, url: str) -> Figures:
    figures: Figures = {}
    for name, share in SHARES.items():
        spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_TRACES_SAMPLER_ARG": share} if share else OFF
        async with crew(made, "ours", clients=plan.clients, environment=spans) as found:
            run = await found.run("flat_out", seconds=plan.seconds)
            memory = found.memory()["memory_mib.consumer"]
        cpu = sum(run.cpu_us[role] for role in ("writer", "relay", "consumer"))
        plan.tell(f"  {name.replace('_', ' ')}: {run.per_second:,.0f}/s, {cpu:.0f} µs of Python's CPU an event")
        figures |= {
            f"tracing.{name}_per_second": run.per_second,
            f"tracing.{name}_cpu_us_per_event": cpu,
            f"tracing.{name}_memory_mib": memory,
        }
    return figures


def with_ratios(figures: Mapping[str, float]) -> Figures:
    """Add what a round's figures are of those without tracing in the same round."""
    found = dict(figures)
    for name in SHARES:
        if name != "none":
            for what in ("per_second", "cpu_us_per_event"):
                found[f"tracing.{name}_{what}_ratio"] = (
                    figures[f"tracing.{name}_{what}"] / figures[f"tracing.none_{what}"]
                )
    return found


@asynccontextmanager
async def _endpoint() -> AsyncIterator[str]:
    """Take spans unread, as the fastest collector would: what is measured is who sends them."""
    server = await asyncio.start_server(_take, LOOPBACK, 0)
    try:
        yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    except asyncio.IncompleteReadError:  # The sender has ended.
        writer.close()
