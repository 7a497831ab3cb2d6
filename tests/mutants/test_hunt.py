"""A short form of `make mutants`: a spoilt program is caught for real, and one that was only reworded is not."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from deploy.local.folders import CHECKOUT
from tests.mutants import __main__ as mutants
from tests.mutants.mutant import Assertions, Edit, Mutant

pytestmark = [pytest.mark.goal("rel-R15"), pytest.mark.timeout(120)]

QUICK = ("claim unconfirmed", "letter open")
"""Both are caught by statements alone."""
REWORDED = Mutant(
    "reworded",
    "nothing",
    "chassis/loop.py",
    (Edit('"""Loop: ', '"""A loop: '),),
    Assertions(("tests/chassis/test_loop.py",)),
)


async def test_spoilt_programs_are_caught() -> None:
    only = [word for name in QUICK for word in ("--only", name)]
    hunting = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.mutants", *only, cwd=CHECKOUT, stdout=PIPE, stderr=DEVNULL
    )
    said, _ = await hunting.communicate()
    assert said.decode().splitlines()[-1:] == ["mutants 2, caught 2"]
    assert hunting.returncode == 0


async def test_a_program_that_was_only_reworded_survives(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mutants, "KEPT", tmp_path)
    assert await mutants.run([REWORDED]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == ["mutants 1, caught 0"]
    assert any(line.startswith("survived") and "reworded" in line for line in told.err.splitlines())
    assert (tmp_path / "reworded.log").exists()
