"""Bench: `make bench` measures the delivery of events and the services on real PostgreSQL and Kafka.

It starts both, on this machine and for this run alone, with the settings of a server; measures; prints a table; and
writes everything as JSON. Targets that are missed are shown as such and are no error. docs/performance.md explains
each figure. Compare ratios of one run, not milliseconds of two machines.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from bench import consumers, log_ins, pipeline, report, services, tokens, tracing, usage
from bench.crew import Figures
from bench.plan import Plan, full, quick
from bench.report import Report
from bench.samples import Missing
from bench.servers import Servers, servers
from chassis import logging
from deploy.local import program
from deploy.local.errors import SetupError
from deploy.local.folders import CHECKOUT

Part = Callable[[Servers, Plan], Awaitable[Figures]]
PARTS: Mapping[str, Part] = {
    "services": services.measure,
    "pipeline": pipeline.measure,
    "consumers": consumers.measure,
    "tracing": tracing.measure,
    "tokens": tokens.measure,
    "log_ins": log_ins.measure,
}
PAGE = CHECKOUT / "docs" / "performance.md"
EXAMPLES = """\
examples:
  python -m bench                              everything, about 12 minutes
  python -m bench --quick                      that everything works, about a minute
  python -m bench --only pipeline --repeats 5  the outbox and its relay alone, more carefully
  python -m bench --markdown                   and put the tables into docs/performance.md

exit code: 0 when everything was measured, 1 when a part failed or, with --strict, a target was missed
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--quick", action="store_true", help="a short form of every part; its figures say little")
    made.add_argument("--only", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    made.add_argument("--repeats", type=_at_least_one, default=3, help="rounds of what is compared (default 3)")
    made.add_argument(
        "--clients", type=_at_least_one, default=32, help="connections that write, pgbench's and ours (default 32)"
    )
    made.add_argument("--no-fsync", action="store_true", help="let PostgreSQL not wait for the disk, in every row")
    made.add_argument("--json", type=Path, default=CHECKOUT / ".local" / "bench.json", help="default .local/bench.json")
    made.add_argument(
        "--markdown", action="store_true", help="replace the tables of what was measured in docs/performance.md"
    )
    made.add_argument("--strict", action="store_true", help="a missed target is an error")
    return made


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: no such part; there are {', '.join(PARTS)}")
    return [name for name in PARTS if name in names]


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)


def plan_of(given: argparse.Namespace, tell: Callable[[str], None]) -> Plan:
    fsync = not given.no_fsync
    if given.quick:
        return quick(clients=given.clients, fsync=fsync, tell=tell)
    return full(repeats=given.repeats, clients=given.clients, fsync=fsync, tell=tell)


async def run(given: argparse.Namespace) -> int:
    """Measure what is wanted, show it, and give the exit code."""
    began = time.monotonic()

    def tell(line: str) -> None:
        program.tell(f"{time.monotonic() - began:6.1f} s  {line}")

    plan = plan_of(given, tell)
    before = _taken_by_others()
    figures, failures = await _measure(given.only, plan)
    others = (_taken_by_others() - before) / (time.monotonic() - began) / len(os.sched_getaffinity(0))
    found = Report(plan, given.quick, figures, failures, max(0.0, others))
    found.save(given.json)
    print(found.text(), flush=True)
    if given.markdown:
        report.put_between_markers(PAGE, found.sections())
    missed = f"{len(found.missed)} target(s) missed" if found.missed else "all targets met"
    tell(f"done: {missed}, {len(failures)} part(s) failed; all figures in {given.json}")
    return 1 if failures or (given.strict and found.missed) else 0


def _taken_by_others() -> float:
    return usage.busy_seconds() - usage.cpu_seconds(os.getpid())


async def _measure(parts: Sequence[str], plan: Plan) -> tuple[Figures, list[str]]:
    figures: Figures = {}
    failures = []
    async with servers(fsync=plan.fsync, progress=plan.tell) as running:
        for name in parts:
            try:
                figures |= await PARTS[name](running, plan)
            except (SetupError, Missing) as error:
                plan.tell(f"FAILED: {name}: {error}")
                failures.append(name)
            except Exception:
                plan.tell(f"FAILED: {name}:\n{traceback.format_exc()}")
                failures.append(name)
    return figures, failures


def main(arguments: Sequence[str]) -> int:
    given = parser().parse_args(arguments)
    logging.configure("bench", "controller", "WARNING")
    return program.run(run(given))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
