"""Operators say whose employees have which addresses."""

import json
from uuid import uuid4

import pytest

from chassis import cli, scope
from services.auth import commands
from services.auth.__main__ import SERVICE
from services.auth.organisations import organisations
from tests.auth.world import World


async def run(world: World, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, str]]]:
    given = cli.parser(SERVICE, commands.COMMANDS).parse_args(words)
    with scope.entered(scope.SYSTEM):
        code = await given.work(world.runtime, given)
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"event"' not in line]


@pytest.mark.rule("I8")
async def test_a_domain_belongs_to_one_organisation(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    async with world.database.transaction() as conn:
        one, two = [(await organisations.register(conn, uuid4(), name, None)).id for name in ("En", "To")]
    for organisation in (one, two):
        code, _ = await run(world, capsys, "domains", "add", "--organisation", str(organisation), "Eksempel.Example")
        assert code == 0
    code, found = await run(world, capsys, "domains", "list")
    assert (code, found) == (0, [{"domain": "eksempel.example", "organisation_id": str(two)}])


async def test_an_organisation_that_is_not_there_has_no_domain(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await run(world, capsys, "domains", "add", "--organisation", str(uuid4()), "eksempel.example")
    assert (code, found) == (1, [])


@pytest.mark.parametrize("domain", ["", "@eksempel.example", "eksempel", "kari@eksempel.example", "a b.example"])
async def test_what_is_no_domain_is_refused(world: World, capsys: pytest.CaptureFixture[str], domain: str) -> None:
    with pytest.raises(SystemExit):
        await run(world, capsys, "domains", "add", "--organisation", str(uuid4()), domain)
    assert "not the domain" in capsys.readouterr().err
