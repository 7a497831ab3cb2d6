"""Hunt: lets a catcher loose on a tree, and judges what it brings back."""

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local import processes
from tests.mutants import verdict
from tests.mutants.mutant import Assertions, Mutant, Rounds, Stale, applied
from tests.mutants.verdict import Fate, Seen, Verdict

TEST_SECONDS = 240.0
ROUND_SECONDS = 300.0
TRIES = 2
"""How often rounds are begun that do not come to their closing line: on a full machine a port may be taken."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where mutants are hunted: a folder with a tree that may be spoilt, and the environment of the catchers."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def log(self) -> Path:
        """What the last catcher said."""
        return self.folder / "catcher.log"


async def hunt(ground: Ground, mutant: Mutant) -> Verdict:
    """Mutate the tree, see whether the catcher notices, and mend the tree."""
    try:
        with applied(mutant, ground.tree):
            return await ask(ground, mutant.catcher, mutant.damages)
    except Stale as error:
        return Verdict(Fate.STALE, str(error))


async def ask(ground: Ground, catcher: Assertions | Rounds, expected: Collection[str]) -> Verdict:
    """Run a catcher on the tree as it is."""
    ground.log.unlink(missing_ok=True)
    match catcher:
        case Assertions():
            return verdict.of_tests(await run_tests(ground, catcher.ids))
        case Rounds():
            return verdict.of_round(await _play(ground, catcher), expected)


async def run_tests(ground: Ground, ids: Sequence[str]) -> list[Seen] | None:
    """Run tests by their ids; None when they did not come to their end."""
    report = ground.log.with_suffix(".json")
    report.unlink(missing_ok=True)
    command = ["pytest", "-q", "-p", "tests.mutants.witness", f"--witness={report}", *ids]
    await _run(ground, command, within=TEST_SECONDS)
    return verdict.read(report)


async def _play(ground: Ground, rounds: Rounds) -> str:
    """Play rounds of the fault suite, which starts servers of its own; gives what was printed."""
    command = ["tests.faults", "--first", str(rounds.first_seed), "--seeds", str(rounds.seeds)]
    command += ["--commands", str(rounds.commands), "--pace", str(rounds.pace), "--books", str(rounds.books)]
    for injury in rounds.injuries:
        command += ["--only", injury]
    output = ""
    for _ in range(TRIES):
        if verdict.damages_in(output) is None:
            ground.log.unlink(missing_ok=True)
            await _run(ground, command, within=ROUND_SECONDS * rounds.seeds)
            output = ground.log.read_text(encoding="utf-8", errors="replace")
    return output


async def _run(ground: Ground, module: Sequence[str], *, within: float) -> None:
    process = await processes.start(
        module[0],
        [sys.executable, "-m", *module],
        log=ground.log,
        environment=ground.environment,
        folder=ground.tree,
    )
    async with processes.running(process, within=30):
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await process.wait()
