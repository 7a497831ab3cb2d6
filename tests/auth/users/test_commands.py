"""Operators add organisations, their first superusers, and rights."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis import cli, scope
from chassis.errors import Refusal
from services.auth import commands
from services.auth.__main__ import SERVICE
from services.auth.organisations.errors import NoSuchOrganisation, NumberTaken, WrongNumber
from tests.auth.town import PAYROLL, STAFF_SUPERUSER, SUPERUSER, Town


async def run(town: Town, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """Run a command as the command line does, and give its lines."""
    given = cli.parser(SERVICE, commands.COMMANDS).parse_args(words)
    with scope.entered(scope.SYSTEM):
        assert await given.work(town.world.runtime, given) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if "event" not in line]


async def test_an_organisation_is_added_told_of_and_listed(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    known = uuid4()
    (one,) = await run(town, capsys, "organisations", "add", "  Ærlig  Talt AS ", "--number", "974 760 673")
    (two,) = await run(town, capsys, "organisations", "add", "Forbundet", "--kind", "operator", "--id", str(known))
    listed = await run(town, capsys, "organisations", "list")
    assert one == {
        "added": one["added"],
        "name": "Ærlig Talt AS",
        "number": "974760673",
        "kind": "customer",
        "active": True,
    }
    assert two["added"] == str(known)
    assert {line["organisation_id"] for line in listed} == {one["added"], str(known)}
    told = await town.told("OrganisationChanged")
    assert [(fact["name"], fact["kind"], fact["version"]) for fact in told] == [
        ("Ærlig Talt AS", "customer", 1),
        ("Forbundet", "operator", 1),
    ]


@pytest.mark.parametrize(
    ("number", "refusal"),
    [("974760673", NumberTaken), ("974760674", WrongNumber), ("97476067", WrongNumber), ("97476067٣", WrongNumber)],
)
async def test_a_number_that_is_wrong_or_taken_is_refused(
    town: Town, capsys: pytest.CaptureFixture[str], number: str, refusal: type[Refusal]
) -> None:
    await run(town, capsys, "organisations", "add", "Eksempel AS", "--number", "974760673")
    with pytest.raises(refusal):
        await run(town, capsys, "organisations", "add", "Annen AS", "--number", number)


@pytest.mark.rule("L12")
@pytest.mark.parametrize(("kind", "group"), [("customer", SUPERUSER), ("operator", STAFF_SUPERUSER)])
async def test_the_first_superuser_is_added_once_with_an_account(
    town: Town, capsys: pytest.CaptureFixture[str], kind: str, group: str
) -> None:
    ours = await town.organisation(kind=kind)
    words = ("superusers", "add", "--organisation", str(ours.id), "Boss@Example.no")
    first, second = await run(town, capsys, *words), await run(town, capsys, *words)
    assert first == second
    assert await town.groups(UUID(first[0]["account_id"]), ours) == (group,)
    assert len(await town.told("RightsChanged")) == len(await town.told("AccountChanged")) == 1
    with pytest.raises(NoSuchOrganisation):
        await run(town, capsys, "superusers", "add", "--organisation", str(uuid4()), "boss@example.no")


async def test_rights_are_added_listed_and_removed(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    ours = await town.organisation()
    kari = await town.user(ours, "kari@example.no")
    where = ("--organisation", str(ours.id))
    who = (*where, "--account", str(kari))
    (given,) = await run(town, capsys, "grants", "add", *who, PAYROLL)
    (listed,) = await run(town, capsys, "grants", "list", *where)
    assert (listed["account_id"], listed["group"], listed["granted_by"]) == (str(kari), PAYROLL, "operator")
    (taken,) = await run(town, capsys, "grants", "remove", *who, PAYROLL)
    assert taken == {"taken": PAYROLL, "membership_id": given["membership_id"]}
    assert await run(town, capsys, "grants", "list", *where) == []
    with pytest.raises(NoSuchOrganisation):
        await run(town, capsys, "grants", "list", "--organisation", str(uuid4()))


def test_rights_that_the_operator_does_not_give_are_no_choice(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["grants", "add", "--organisation", str(uuid4()), "--account", str(uuid4()), "unionfees.company-user"]
    with pytest.raises(SystemExit):
        cli.parser(SERVICE, commands.COMMANDS).parse_args(words)
    assert "invalid choice" in capsys.readouterr().err
