"""Faults: `python -m tests.faults --seeds 20` plays as many rounds and ends with one line that says what they cost.

Exit code 0 when nothing was damaged, 1 when something was, 2 when the rounds proved nothing.
"""

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from chassis import logging
from deploy.local import program
from deploy.local.folders import CHECKOUT, own_folder
from tests.faults.history import Outcome
from tests.faults.injuries import INJURIES
from tests.faults.report import Least, Sum
from tests.faults.round import Order, Result, play
from tests.faults.schedule import SHARES, Planned, plan
from tests.faults.stage import Broker, Stage, single_broker, stage
from tests.faults.trio import three_brokers
from tests.faults.trio_injuries import BROKER_INJURIES, TRIO_INJURIES, TRIO_SHARES

KEPT = CHECKOUT / ".local" / "faults"
CODES = 0.26
"""The share of the commands that ask for a code."""
ACTS = 0.004
"""People of each kind who activate, are guessed at, leave or are edited, for each command."""
ONE_SEED, ALL_SEEDS = Least(duplicates=100), Least(duplicates=100, mails=10_000, courier_deaths=200)
"""What a full round, and a run of 20 of them, must have seen (rel-R2, rel-R14)."""
FULL_COMMANDS, FULL_SEEDS = 2_000, 20
PACES = {1: 50.0, 3: 20.0}
"""Commands a second: brokers are hurt one at a time, and the commands last as long."""
ALONE_COMMANDS, ALONE_SECONDS = 600, 30.0
"""With three brokers each fault of a broker is first played alone: the most that a message may be under way then."""


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.brokers == 1 and TRIO_INJURIES.keys() & set(given.only):
        parser.error("that fault needs --brokers 3")
    given.pace = given.pace or PACES[given.brokers]
    logging.configure("faults", "suite", "ERROR")
    return program.run(_run(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this seed alone")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds, from --first on (default 20)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--commands", type=int, default=2_000, help="commands a seed (default 2000)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=sorted({*INJURIES, *TRIO_INJURIES}),
        help="play this fault alone, once; may be repeated",
    )
    parser.add_argument("--books", type=int, default=25, help="how many books get the entries (default 25)")
    parser.add_argument("--brokers", type=int, default=1, choices=sorted(PACES), help="Kafka nodes (default 1)")
    parser.add_argument(
        "--pace", type=float, help="commands a second that are aimed at (default 50, with three brokers 20)"
    )
    return parser


async def _run(given: argparse.Namespace) -> int:
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    total = Sum()
    async with _set_up(given.brokers) as found:
        for order in _orders(given, seeds):
            result = await play(found, order)
            total.add(result)
            _tell(result)
            if not result.findings.clean or result.fallen or result.stuck:
                _keep(found, result)
    for line in total.lines():
        print(line, flush=True)
    return total.exit_code(_least(given, total))


def _least(given: argparse.Namespace, total: Sum) -> Least:
    if given.only or given.commands < FULL_COMMANDS or given.brokers > 1:
        return Least()
    return ALL_SEEDS if total.seeds >= FULL_SEEDS else ONE_SEED


def _orders(given: argparse.Namespace, seeds: Iterable[int]) -> Iterator[Order]:
    trio = given.brokers > 1
    alone = [[name] for name in BROKER_INJURIES] if trio and not given.only and given.seed is None else []
    for only in alone:
        yield _order(given, given.first, ALONE_COMMANDS, plan(given.first, ALONE_COMMANDS / given.pace, only))
    shares = (*SHARES, *TRIO_SHARES) if trio else SHARES
    for seed in seeds:
        planned = plan(seed, given.commands / given.pace, given.only, shares=shares)
        yield _order(given, seed, given.commands, planned)


def _order(given: argparse.Namespace, seed: int, commands: int, planned: Sequence[Planned]) -> Order:
    alone = given.brokers > 1 and len(planned) == 1
    longest_wait = ALONE_SECONDS if alone else math.inf
    codes, acts = round(commands * CODES), round(commands * ACTS)
    return Order(seed, commands, codes, given.pace, planned, longest_wait=longest_wait, books=given.books, acts=acts)


@asynccontextmanager
async def _set_up(brokers: int) -> AsyncIterator[Stage]:
    began = time.monotonic()

    def tell(what: str) -> None:
        program.tell(f"{time.monotonic() - began:6.1f} s  {what}")

    with own_folder("test") as folder:
        kafka: AbstractAsyncContextManager[Broker] = single_broker(folder) if brokers == 1 else three_brokers(folder)
        async with kafka as broker, stage(folder, broker, tell=tell) as found:
            yield found


def _tell(result: Result) -> None:
    history = result.history
    program.tell(
        f"seed {result.order.seed}: {len(history.commands)} commands"
        f" ({history.count(Outcome.OK)} ok, {history.count(Outcome.REFUSED)} refused,"
        f" {history.count(Outcome.UNKNOWN)} unknown), {_faults(result)}, {len(result.deaths)} deaths,"
        f" {result.duplicates} duplicates delivered, quiet after {result.recovered:.1f} s,"
        f" {result.seconds:.0f} s in all: {'nothing damaged' if result.findings.clean else 'DAMAGED'}"
    )
    for line in [*result.findings.lines()[:20], *result.fallen, *result.stuck]:
        program.tell(f"    {line}")


def _faults(result: Result) -> str:
    names = [planned.injury for planned in result.order.injuries]
    return repr(names[0]) if len(names) == 1 else f"{len(names)} faults"


def _keep(found: Stage, result: Result) -> None:
    """Keep the logs and the history of a round that went wrong."""
    folder = KEPT / f"seed-{result.order.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for log in found.platform.running.folder.glob("*.log"):
        shutil.copy(log, folder)
    said = {
        "injuries": [asdict(planned) for planned in result.order.injuries],
        "findings": result.findings.lines(),
        "fallen": result.fallen,
        "stuck": result.stuck,
        "commands": [asdict(command) for command in result.history.commands],
    }
    (folder / "history.json").write_text(json.dumps(said, indent=1, default=str), encoding="utf-8")
    program.tell(f"    its logs and history are in {folder.relative_to(Path.cwd())}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
