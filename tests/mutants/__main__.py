"""Mutants: `python -m tests.mutants` switches each safety piece off, one at a time, and sees whether it is missed.

Exit code 0 when every mutant was caught, else 1. Before its first mutant, each catcher must find the code in order.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local import kafka, kafka_jars, postgres, program
from deploy.local.folders import CHECKOUT, own_folder
from deploy.local.stack import stack
from tests.mutants.catalogue.every import EVERY
from tests.mutants.control import Control
from tests.mutants.hunt import Ground, hunt
from tests.mutants.mutant import Assertions, Mutant, Rounds
from tests.mutants.tree import copy_checkout
from tests.mutants.verdict import Fate, Verdict

KEPT = CHECKOUT / ".local" / "mutants"


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    mutants = [mutant for mutant in EVERY if not given.only or mutant.name in given.only]
    if given.list:
        for mutant in mutants:
            print(f"{mutant.name:<24} {mutant.file:<34} no longer: {mutant.lost}")
        return 0
    return program.run(run(mutants))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    names = [mutant.name for mutant in EVERY]
    parser.add_argument("--only", action="append", default=[], choices=names, help="this mutant; may be repeated")
    parser.add_argument("--list", action="store_true", help="list the mutants and run none")
    return parser


async def run(mutants: Sequence[Mutant]) -> int:
    """Hunt with the tests and with the fault suite side by side, for either waits more than it works; gives the exit code."""
    by_tests = [mutant for mutant in mutants if isinstance(mutant.catcher, Assertions)]
    by_rounds = [mutant for mutant in mutants if isinstance(mutant.catcher, Rounds)]
    if by_rounds:
        await kafka_jars.java()
        await kafka_jars.jars(program.tell)
    with own_folder("test") as folder:
        async with asyncio.TaskGroup() as group:
            hunts = [
                group.create_task(_with_servers(folder / "tests", by_tests)),
                group.create_task(_hunt(Ground(folder / "rounds", _without_servers()), by_rounds)),
            ]
    caught = sum(task.result() for task in hunts)
    print(f"mutants {len(mutants)}, caught {caught}")
    return 0 if caught == len(mutants) else 1


async def _with_servers(folder: Path, mutants: Sequence[Mutant]) -> int:
    if not mutants:
        return 0
    async with stack("test") as servers:
        addresses = {postgres.ADDRESS: servers.postgres, kafka.ADDRESS: servers.kafka}
        return await _hunt(Ground(folder, {**os.environ, **addresses}), mutants)


def _without_servers() -> dict[str, str]:
    """The fault suite starts servers of its own, to hurt them."""
    return {name: value for name, value in os.environ.items() if name not in {postgres.ADDRESS, kafka.ADDRESS}}


async def _hunt(ground: Ground, mutants: Sequence[Mutant]) -> int:
    """Hunt one after the other; gives how many were caught."""
    copy_checkout(ground.tree)
    control = Control(ground, mutants)
    caught = 0
    for mutant in mutants:
        await control.before(mutant.catcher)
        began = time.monotonic()
        verdict = control.fault_of(mutant.catcher) or await hunt(ground, mutant)
        caught += verdict.fate is Fate.CAUGHT
        _tell(mutant, verdict, time.monotonic() - began)
        if verdict.fate is not Fate.CAUGHT:
            _keep(ground, mutant)
    return caught


def _tell(mutant: Mutant, verdict: Verdict, seconds: float) -> None:
    program.tell(f"{verdict.fate:<9} {seconds:5.1f} s  {mutant.name}: {verdict.why}")


def _keep(ground: Ground, mutant: Mutant) -> None:
    """Keep what the catcher of a mutant that got away said."""
    if ground.log.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        kept = KEPT / f"{mutant.name.replace(' ', '-')}.log"
        shutil.copy(ground.log, kept)
        program.tell(f"{'':19}its catcher's words are in {kept}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
