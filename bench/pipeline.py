"""Pipeline: the whole way of an event and its stages, against pgbench and against the textbook's relay."""

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench import pgbench
from bench.crew import Crew, Figures, crew
from bench.ground import Ground, ground
from bench.plan import RATES, Plan
from bench.samples import load
from bench.servers import Servers

RELAYS = ("ours", "textbook")


async def measure(servers: Servers, plan: Plan) -> Figures:
    """Repeat all that is compared in turn, and give the medians; then what is measured once."""
    async with ground(servers) as made:
        rounds: list[Figures] = []
        for n in range(1, plan.repeats + 1):
            plan.tell(f"pipeline: round {n} of {plan.repeats}")
            rounds.append(with_ratios(await _round(made, plan)))
        return medians(rounds) | await _held(made, plan)


async def _round(made: Ground, plan: Plan) -> Figures:
    figures = await _writes_alone(made, plan)
    for relay in RELAYS:
        prefix = "" if relay == "ours" else "textbook."
        found = await _together(made, plan, relay)
        found["backlog_per_second"] = await _drain(made, plan, relay)
        figures |= {prefix + name: value for name, value in found.items()}
    return figures


async def _writes_alone(made: Ground, plan: Plan) -> Figures:
    """Nobody reads: pgbench's writes, and the library's."""
    made = await made.renewed()
    folder = made.servers.running.folder
    async with pgbench.writing(made.urls.app, folder, clients=plan.clients, seconds=plan.seconds) as writing:
        _, by_pgbench = await writing.ended()
    made = await made.renewed()
    async with made.role("writer", clients=plan.clients) as writer:
        written = await writer.ask("flat_out", seconds=plan.seconds)
    by_library = written["count"] / (written["ended"] - written["began"]) * 1e9
    plan.tell(f"  write alone: pgbench {by_pgbench:,.0f}/s, through the library {by_library:,.0f}/s")
    return {"pgbench_per_second": by_pgbench, "library_write_per_second": by_library}


async def _together(made: Ground, plan: Plan, relay: str) -> Figures:
    """Everybody works: flat out, then at each offered rate."""
    async with crew(made, relay, clients=plan.clients) as found:
        run = await found.run("flat_out", seconds=plan.seconds)
        figures = {f"flat_out.{name}": value for name, value in run.figures().items()}
        plan.tell(f"  {relay}, flat out: {run.per_second:,.0f}/s, {sum(run.cpu_us.values()):.0f} µs of CPU an event")
        for rate in RATES:
            figures |= await _at_rate(found, plan, rate)
            shown = " / ".join(f"{figures[f'at_{rate}.commit_to_inbox_p{p}_ms']:.1f}" for p in (50, 99))
            plan.tell(f"  {relay}, {rate}/s: {shown} ms (p50 / p99) to the inbox")
        if relay == "ours":
            behind = await found.run_behind_pgbench(clients=plan.clients, seconds=plan.seconds)
            plan.tell(f"  {relay}, pgbench writing: {behind.per_second:,.0f}/s")
            figures |= {f"behind_pgbench.{name}": value for name, value in behind.figures().items()}
            figures |= found.memory()
    return figures | {"pipeline_per_second": run.per_second}


async def _at_rate(found: Crew, plan: Plan, rate: int) -> Figures:
    run = await found.run("at_rate", rate=rate, seconds=plan.seconds)
    return {f"at_{rate}.{name}": value for name, value in run.figures().items()}


async def _drain(made: Ground, plan: Plan, relay: str) -> float:
    """Let a backlog wait, start the relay, and see how fast it goes out."""
    made = await made.renewed()
    await made.owe(plan.backlog)
    async with made.role("relaying", kind=relay) as relaying:
        await relaying.ask("until", count=plan.backlog)
        path = Path(f"{made.keys}.samples")
        await relaying.ask("save", path=str(path))
    rate = drain_rate(load(path).values())
    plan.tell(f"  {relay}, backlog of {plan.backlog:,}: {rate:,.0f}/s to Kafka")
    return rate


async def _held(made: Ground, plan: Plan) -> Figures:
    """Hold somebody else's transaction open that has written, while events go on."""
    plan.tell(f"pipeline: a foreign transaction that wrote is held for {plan.held_seconds:g} s")
    async with crew(made, "ours", clients=plan.clients) as found:
        async with made.written():
            run = await found.run("at_rate", rate=RATES[0], seconds=plan.held_seconds)
        plan.tell(f"  longest delay {run.to_inbox[-1]:.1f} ms")
        return {"held_transaction.seconds": plan.held_seconds, "held_transaction.max_ms": run.to_inbox[-1]}


def drain_rate(moments: Iterable[int]) -> float:
    """Give the events a second behind the first acknowledgement, from the nanoseconds of all."""
    ordered = sorted(moments)
    behind_first = sum(moment > ordered[0] for moment in ordered)
    return behind_first / (ordered[-1] - ordered[0]) * 1e9


def with_ratios(figures: Mapping[str, float]) -> Figures:
    """Add what a round's figures are of those that they are compared with in the same round."""
    by_pgbench = figures["pgbench_per_second"]
    return {
        **figures,
        "ratio_to_pgbench": figures["pipeline_per_second"] / by_pgbench,
        "library_write_ratio_to_pgbench": figures["library_write_per_second"] / by_pgbench,
        "behind_pgbench.ratio_to_pgbench": figures["behind_pgbench.per_second"] / by_pgbench,
        "ratio_to_textbook": figures["pipeline_per_second"] / figures["textbook.pipeline_per_second"],
        "backlog_ratio_to_textbook": figures["backlog_per_second"] / figures["textbook.backlog_per_second"],
    }


def medians(rounds: Iterable[Mapping[str, float]]) -> Figures:
    """Give the median of each figure over the rounds."""
    every = list(rounds)
    return {name: statistics.median(each[name] for each in every) for name in every[0]}
