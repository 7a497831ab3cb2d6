"""Operators publish terms and see which are in force."""

import json
from pathlib import Path
from typing import Any

import pytest

from chassis import cli
from services.auth import commands
from services.auth.__main__ import SERVICE
from services.auth.terms.errors import UnreadableTerms
from tests.auth.standing import FILE, NAME
from tests.auth.world import World


async def run(world: World, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run a command; give its exit code, its lines, and what it said beside them."""
    given = cli.parser(SERVICE, commands.COMMANDS).parse_args(["terms", *words])
    code = await given.work(world.runtime, given)
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines() if "event" not in line], said.err


def of(version: str, file: Path = FILE, *more: str) -> tuple[str, ...]:
    return ("publish", "--name", NAME, "--version", version, "--language", "nb", *more, str(file))


async def test_a_text_is_published_once_and_listed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    _, nothing, said = await run(world, capsys, "list")
    assert nothing == []
    assert f"{NAME} has no text yet" in said
    found = [await run(world, capsys, *of("2026")) for _ in range(2)]
    assert [(code, line["added"]) for code, (line,), _ in found] == [(0, True), (0, False)]
    await run(world, capsys, *of("2027", FILE, "--asks-again"))
    _, listed, said = await run(world, capsys, "list")
    assert [(line["version"], line["in_force"], line["asks_again"]) for line in listed] == [
        ("2027", True, True),
        ("2026", False, False),
    ]
    assert said == ""


async def test_a_file_that_cannot_be_read_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = await run(world, capsys, *of("1", tmp_path / "nothing.txt"))
    assert (code, "nothing.txt cannot be read" in said) == (1, True)
    (tmp_path / "latin.txt").write_bytes(b"bl\xe5\n[ ] ja")
    with pytest.raises(UnreadableTerms):
        await run(world, capsys, *of("1", tmp_path / "latin.txt"))


def test_only_terms_that_the_contracts_name_can_be_published(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parser(SERVICE, commands.COMMANDS).parse_args(
            ["terms", "publish", "--name", "x.y", "--version", "1", "--language", "nb", "f"]
        )
    assert "--name" in capsys.readouterr().err
