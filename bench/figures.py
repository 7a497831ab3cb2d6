"""Figures: what each number is called, what is aimed at, and how they are shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.consumers import COUNTS
from bench.crew import Figures
from bench.plan import RATES


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: `at least` or `at most` a limit."""

    sense: Literal["at least", "at most"]
    limit: float

    def met(self, value: float) -> bool:
        return value >= self.limit if self.sense == "at least" else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.sense == 'at least' else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table; `key` is where the JSON has it."""

    key: str
    label: str
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its value, and whether what was aimed at is met."""

    figure: Figure
    value: float

    @property
    def verdict(self) -> str:
        if self.figure.target is None:
            return ""
        return "met" if self.figure.target.met(self.value) else "MISSED"

    def cells(self) -> tuple[str, str, str, str]:
        target = self.figure.target
        return self.figure.label, shown(self.value), str(target) if target else "", self.verdict


def shown(value: float) -> str:
    """Write a number with three digits that count, whole where it is large."""
    if abs(value) >= 100:  # noqa: PLR2004 -- three digits.
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004 -- as above.


def at_least(limit: float) -> Target:
    return Target("at least", limit)


def at_most(limit: float) -> Target:
    return Target("at most", limit)


LATENCY: Mapping[str, tuple[float, float]] = {"at_200": (3, 6), "at_1000": (4, 12)}
"""The milliseconds from commit to inbox that are aimed at, p50 and p99."""


def _latency(prefix: str = "") -> Iterator[Figure]:
    whose = "textbook relay, " if prefix else ""
    for key, load in (*((f"at_{rate}", f"{rate:,}/s") for rate in RATES), ("flat_out", "flat out")):
        for place, name in (("kafka", "Kafka acknowledged"), ("inbox", "inbox committed")):
            for n, percent in enumerate((50, 99)):
                limits = LATENCY.get(key) if place == "inbox" and not prefix else None
                yield Figure(
                    f"{prefix}{key}.commit_to_{place}_p{percent}_ms",
                    f"{whose}commit → {name} at {load}, p{percent}, ms",
                    at_most(limits[n]) if limits else None,
                )


def _cpu() -> Iterator[Figure]:
    for key, load in (("flat_out", "flat out"), ("behind_pgbench", "pgbench writing")):
        yield Figure(
            f"{key}.cpu_us_per_event",
            f"CPU of an event, {load}, all processes, µs",
            at_most(230) if key == "flat_out" else None,
        )
        for name in ("writer", "relay", "consumer", "postgres", "kafka"):
            if (key, name) != ("behind_pgbench", "writer"):
                yield Figure(f"{key}.cpu_us_per_event_by.{name}", f"CPU of an event, {load}, {name}, µs")


PIPELINE = (
    Figure("pgbench_per_second", "pgbench, the same write alone, /s"),
    Figure("library_write_per_second", "write through the library alone, /s"),
    Figure("library_write_ratio_to_pgbench", "… as a ratio to pgbench", at_least(0.75)),
    Figure("pipeline_per_second", "whole pipeline flat out, /s"),
    Figure("ratio_to_pgbench", "… as a ratio to pgbench", at_least(0.5)),
    Figure("behind_pgbench.per_second", "whole pipeline with pgbench writing, /s"),
    Figure("behind_pgbench.ratio_to_pgbench", "… as a ratio to pgbench alone"),
    Figure("textbook.pipeline_per_second", "whole pipeline with the textbook relay, /s"),
    Figure("ratio_to_textbook", "ours as a ratio to the textbook relay"),
    Figure("backlog_per_second", "backlog to Kafka, /s"),
    Figure("textbook.backlog_per_second", "backlog to Kafka with the textbook relay, /s"),
    Figure("backlog_ratio_to_textbook", "ours as a ratio to the textbook relay"),
    *_latency(),
    *_latency("textbook."),
    *_cpu(),
    Figure("held_transaction.max_ms", "longest delay at 200/s beside a held transaction, ms", at_most(100)),
    *(
        Figure(f"memory_mib.{name}", f"memory of {name}, MiB")
        for name in ("writer", "relay", "consumer", "postgres", "kafka")
    ),
)
SERVICES = (
    Figure("worker_ready_seconds", "a worker is ready after, s", at_most(2)),
    Figure("memory_mib.auth_api", "memory of auth's api, MiB"),
    Figure("memory_mib.auth_worker", "memory of auth's worker, MiB", at_most(120)),
    Figure("memory_mib.notifications_worker", "memory of notifications' worker, MiB", at_most(120)),
    Figure("codes_asked.per_second", "codes asked for over HTTP, /s"),
    Figure("codes_asked.p99_ms", "… p99, ms"),
    Figure("codes_redeemed.per_second", "codes redeemed over HTTP, /s"),
    Figure("codes_redeemed.p99_ms", "… p99, ms"),
    Figure("mails.0_ms_per_second", "mails to a server that takes no time, /s"),
    Figure("mails.50_ms_per_second", "mails to a server that takes 50 ms over each, /s"),
)
CONSUMERS = (
    *(
        Figure(f"consumers.with_{count}_per_second", f"events that wait 10 ms, {count} consumer(s), /s")
        for count in COUNTS
    ),
    *(Figure(f"consumers.ratio_of_{count}_to_1", f"… {count} as a ratio to 1") for count in COUNTS[1:]),
)
TRACING = (
    Figure("tracing.none_per_second", "whole pipeline flat out without tracing, /s"),
    Figure("tracing.a_tenth_per_second_ratio", "… with a tenth of the traces, as a ratio"),
    Figure("tracing.all_per_second_ratio", "… with all traces, as a ratio"),
    Figure("tracing.none_cpu_us_per_event", "CPU of an event in Python without tracing, µs"),
    Figure("tracing.a_tenth_cpu_us_per_event_ratio", "… with a tenth of the traces, as a ratio"),
    Figure("tracing.all_cpu_us_per_event_ratio", "… with all traces, as a ratio"),
    Figure("tracing.none_memory_mib", "memory of a consumer without tracing, MiB"),
    Figure("tracing.all_memory_mib", "… with all traces, MiB"),
)
TOKENS = (
    Figure("tokens.new_us", "CPU of checking an access token that is new, µs", at_most(200)),
    Figure("tokens.new_per_second", "… checks of one core, /s"),
    Figure("tokens.es256_new_us", "… signed by ES256 instead of Ed25519, µs", at_most(200)),
    Figure("tokens.es256_new_per_second", "… checks of one core, /s"),
    Figure("tokens.known_us", "CPU of checking one that came before, µs"),
    Figure("tokens.known_per_second", "… checks of one core, /s"),
)
LOG_INS = (
    Figure("log_ins.per_second", "log-ins by password, two at a time, /s"),
    Figure("log_ins.p99_ms", "… p99, ms"),
    Figure(
        "log_ins.at_once.loop_late_ms", "100 log-ins at once: longest wait for what needs no work, ms", at_most(100)
    ),
    Figure("log_ins.at_once.memory_mib", "… memory of auth's api, MiB", at_most(512)),
    Figure("log_ins.at_once.sent_away", "… sent away to come again"),
    Figure("log_ins.medians_apart_ms", "wrong password, medians of known, inactive, blocked, unknown apart, ms"),
    Figure("log_ins.medians_apart_of_allowed", "… of what sec-A9 allows", at_most(1)),
)
PARTS: Mapping[str, Sequence[Figure]] = {
    "pipeline": PIPELINE,
    "services": SERVICES,
    "consumers": CONSUMERS,
    "tracing": TRACING,
    "tokens": TOKENS,
    "log_ins": LOG_INS,
}
"""Each part with its rows, in the order of the table."""
ALL = tuple(figure for part in PARTS.values() for figure in part)


def rows(figures: Figures, of: Sequence[Figure] = ALL) -> list[Row]:
    """Give the rows of what was measured, in order."""
    return [Row(figure, figures[figure.key]) for figure in of if figure.key in figures]


def nested(figures: Figures) -> dict[str, Any]:
    """Turn dotted names into objects, rounded to what was measured."""
    found: dict[str, Any] = {}
    for key, value in figures.items():
        *path, name = key.split(".")
        inside = found
        for part in path:
            inside = inside.setdefault(part, {})
        inside[name] = round(value, 4)
    return found
