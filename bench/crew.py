"""Crew: writer, relay and reader at work together, and what one run of them shows."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import pgbench, usage
from bench.ground import Ground
from bench.remote import Remote
from bench.samples import delays, load, percentile

Figures = dict[str, float]
WARM_UP_SECONDS = 1.0
NOTHING_MORE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Run:
    """One run: how many events, how many a second from its begin to the last one's commit, and what each cost."""

    count: int
    per_second: float
    cpu_us: dict[str, float]
    """By process, of one event."""
    to_kafka: Sequence[float] = ()
    """Milliseconds from the commit to Kafka's acknowledgement, sorted."""
    to_inbox: Sequence[float] = ()
    """Milliseconds from the commit to the consumer's commit, sorted."""

    def figures(self) -> Figures:
        """Give it all by name."""
        figures = {"per_second": self.per_second, "cpu_us_per_event": sum(self.cpu_us.values())}
        figures |= {f"cpu_us_per_event_by.{name}": value for name, value in self.cpu_us.items()}
        for name, ordered in (("kafka", self.to_kafka), ("inbox", self.to_inbox)):
            if ordered:
                figures |= {f"commit_to_{name}_p{percent}_ms": percentile(ordered, percent) for percent in (50, 99)}
                figures[f"commit_to_{name}_max_ms"] = ordered[-1]
        return figures


@dataclass(frozen=True, slots=True)
class Crew:
    ground: Ground
    writer: Remote
    relay: Remote
    reader: Remote

    async def run(self, command: str, **arguments: Any) -> Run:
        """Let the writer write, wait until the last effect is committed, and see what it cost."""
        await self._clear()
        before = self._used()
        written = await self.writer.ask(command, **arguments)
        ended = await self.reader.ask("until", count=written["count"])
        cpu = self._cost(before, written["count"])
        commits, acknowledged, effects = [await self._moments(each) for each in (self.writer, self.relay, self.reader)]
        rate = written["count"] / (ended - written["began"]) * 1e9
        return Run(written["count"], rate, cpu, delays(commits, acknowledged), delays(commits, effects))

    async def run_behind_pgbench(self, *, clients: int, seconds: float) -> Run:
        """Let pgbench write instead: what relay and consumer carry when writing costs no Python."""
        await self._clear()
        before = self._used()
        ground = self.ground
        async with pgbench.writing(
            ground.urls.app, ground.servers.running.folder, clients=clients, seconds=seconds
        ) as writing:
            began = time.monotonic_ns()
            count, _ = await writing.ended()
        ended = await self.reader.ask("until", count=count)
        return Run(count, count / (ended - began) * 1e9, self._cost(before, count))

    def memory(self) -> Figures:
        """Give the MiB of each process."""
        servers = self.ground.servers
        figures = {name: usage.resident_mib(role.process.pid) for name, role in self._roles()}
        figures |= {"postgres": usage.family_mib(servers.postgres_pid), "kafka": usage.resident_mib(servers.kafka_pid)}
        return {f"memory_mib.{name}": value for name, value in figures.items()}

    async def _clear(self) -> None:
        for role in (self.relay, self.reader):
            await role.ask("clear")

    async def _moments(self, role: Remote) -> dict[bytes, int]:
        path = Path(f"{self.ground.keys}.samples")
        await role.ask("save", path=str(path))
        return load(path)

    def _roles(self) -> tuple[tuple[str, Remote], ...]:
        return ("writer", self.writer), ("relay", self.relay), ("consumer", self.reader)

    def _used(self) -> Figures:
        servers = self.ground.servers
        pids = {name: role.process.pid for name, role in self._roles()}
        pids |= {"postgres": servers.postgres_pid, "kafka": servers.kafka_pid}
        return {name: usage.cpu_seconds(pid) for name, pid in pids.items()}

    def _cost(self, before: Figures, count: int) -> Figures:
        return {name: (used - before[name]) * 1e6 / count for name, used in self._used().items()}


@asynccontextmanager
async def crew(
    ground: Ground, relay: str, *, clients: int, environment: Mapping[str, str] = NOTHING_MORE
) -> AsyncIterator[Crew]:
    """Start the three afresh, with `ours` or the `textbook` relay and more in their environment, and let them warm up."""
    ground = await ground.renewed()
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(ground.role("reader", environment=environment))
        relaying = await stack.enter_async_context(ground.role("relaying", kind=relay, environment=environment))
        await reader.ask("assigned")
        writer = await stack.enter_async_context(ground.role("writer", clients=clients, environment=environment))
        made = Crew(ground, writer, relaying, reader)
        # The first messages of each partition are tried one at a time, and Kafka's compiler has work to do.
        already = await writer.ask("written")
        warm_up = await writer.ask("flat_out", seconds=WARM_UP_SECONDS)
        await reader.ask("until", count=already + warm_up["count"])
        yield made
