"""Operators add people and list them, and are told line by line what became of it."""

import argparse
import io
import json
from typing import Any

import pytest

from chassis import cli
from services.auth import commands
from services.auth.__main__ import SERVICE
from tests.auth.world import World


def read(*words: str) -> argparse.Namespace:
    """Read a command line as the service does."""
    return cli.parser(SERVICE, commands.COMMANDS).parse_args(["accounts", *words])


async def run(world: World, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run a command; give its exit code, its lines, and what it said beside them."""
    given = read(*words)
    code = await given.work(world.runtime, given)
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines() if "event" not in line], said.err


async def test_people_are_added_and_listed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, added, _ = await run(world, capsys, "add", "ola@example.no", "Kari@Example.no", "--language", "nn")
    _, listed, _ = await run(world, capsys, "list")
    assert code == 0
    assert [line["added"] for line in added] == ["ola@example.no", "kari@example.no"]
    assert listed == [
        {"account_id": line["account_id"], "address": line["added"], "language": "nn", "active": True, "version": 1}
        for line in reversed(added)
    ]


async def test_one_that_is_refused_is_named_and_keeps_no_other_from_being_added(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, _ = await run(world, capsys, "add", "kari@example.no", "kari@example.no", "kari@", "ola@example.no")
    assert code == 1
    assert [line.get("added") or (line["refused"], line["reason"]) for line in lines] == [
        "kari@example.no",
        ("kari@example.no", "A user with this e-mail already exists."),
        ("kari@", "This is not an e-mail address."),
        "ola@example.no",
    ]


async def test_addresses_can_come_on_standard_input(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("kari@example.no\n\n  ola@example.no  \n"))
    code, lines, _ = await run(world, capsys, "add", "-")
    assert (code, [line["added"] for line in lines]) == (0, ["kari@example.no", "ola@example.no"])


async def test_a_list_is_read_on_behind_its_last_address(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        await world.add(f"{name}@example.no")
    _, first, more = await run(world, capsys, "list", "--limit", "2")
    _, second, no_more = await run(world, capsys, "list", "--limit", "2", "--after", "b@example.no")
    assert [line["address"] for line in first + second] == ["a@example.no", "b@example.no", "c@example.no"]
    assert more.strip() == "There may be more: accounts list --after b@example.no"
    assert no_more == ""


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_list_of_less_than_one_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("list", "--limit", limit)
    assert "--limit" in capsys.readouterr().err


def test_a_language_that_nobody_is_written_to_in_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("add", "kari@example.no", "--language", "sv")
    assert "--language" in capsys.readouterr().err
