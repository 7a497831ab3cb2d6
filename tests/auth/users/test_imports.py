"""Old data is imported whole: duplicates do not stop it, and superusers clear them up (L17-L20)."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis import cli, scope
from chassis.errors import Refusal
from services.auth import commands
from services.auth.__main__ import SERVICE
from services.auth.organisations.errors import NoSuchOrganisation, OrganisationClosed
from services.auth.organisations.store import Organisation
from services.auth.users import commands as own
from services.auth.users.errors import UnreadableFile
from services.auth.users.imports import Import, Line
from tests.auth.town import PAYROLL, SUPERUSER, Acting, Town
from tests.auth.world import Owner

HEADER = "user_name;address;full_name;language;active;groups\n"


@pytest.fixture
async def ours(town: Town) -> Organisation:
    return await town.organisation()


class Desk:
    """Where an operator imports files into one organisation."""

    def __init__(self, town: Town, ours: Organisation, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._town, self._ours, self._file, self._capsys = town, ours, folder / "people.csv", capsys
        self.code = 0
        self.said = ""

    async def take(self, text: str | bytes, *words: str, organisation: UUID | None = None) -> list[dict[str, Any]]:
        """Import a file; gives the lines of results."""
        self._file.write_bytes(text if isinstance(text, bytes) else text.encode())
        where = ["--organisation", str(organisation or self._ours.id)]
        given = cli.parser(SERVICE, commands.COMMANDS).parse_args(
            ["accounts", "import", str(self._file), *where, *words]
        )
        with scope.entered(scope.SYSTEM):
            self.code = await given.work(self._town.world.runtime, given)
        out, self.said = self._capsys.readouterr()
        return [json.loads(line) for line in out.splitlines() if "event" not in line]


@pytest.fixture
def desk(town: Town, ours: Organisation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(town, ours, tmp_path, capsys)


def counts(lines: list[dict[str, Any]]) -> tuple[int, int, int, int]:
    last = lines[-1]
    return last["added"], last["present"], last["duplicate"], last["wrong"]


async def test_people_are_imported_with_their_data_and_rights_and_the_same_file_again_adds_nothing(
    town: Town, ours: Organisation, desk: Desk, owner: Owner
) -> None:
    file = HEADER + f"Kari N;KARI@example.no;Kari  Nordmann;nn;ja;{PAYROLL} cases.reporter\n;ola@example.no;;;nei;\n"
    assert counts(await desk.take("\ufeff" + file)) == (2, 0, 0, 0)
    assert desk.code == 0
    rows = await owner.fetch(
        "select user_name, address, full_name, language, active, organisation_id from auth.accounts order by address"
    )
    assert [tuple(row) for row in rows] == [
        ("Kari N", "kari@example.no", "Kari Nordmann", "nn", True, ours.id),
        (None, "ola@example.no", None, "nb", False, ours.id),
    ]
    kari = await owner.fetchval("select id from auth.accounts where user_name = 'Kari N'")
    assert await town.groups(kari, ours) == (PAYROLL, "cases.reporter")
    owed = await owner.fetchval("select count(*) from auth.outbox")
    assert counts(await desk.take(file)) == (0, 2, 0, 0)
    assert await owner.fetchval("select count(*) from auth.outbox") == owed


@pytest.mark.rule("L17", "L18", "L20")
async def test_duplicates_of_anybody_and_within_the_file_are_kept_once_and_everybody_else_comes_in(
    town: Town, desk: Desk, owner: Owner
) -> None:
    theirs = await town.organisation("Annen AS")
    await town.user(theirs, "theirs@example.no", user_name="their name")
    await town.user(theirs, "off@example.no", active=False)
    file = HEADER + (
        "a;theirs@example.no;;;;\n"
        "b;off@example.no;;;;\n"
        "c;kari@example.no;;;;\n"
        "d;KARI@example.no;Kari igjen;;;\n"
        "C;per@example.no;;;;\n"
        "Their Name;pal@example.no;;;;\n"
        ";last@example.no;;;;\n"
    )
    lines = await desk.take(file)
    assert counts(lines) == (2, 0, 5, 0)
    assert [(line["line"], line["reason"]) for line in lines[:-1]] == [
        (2, "address_taken"),
        (3, "address_taken"),
        (5, "address_taken"),
        (6, "user_name_taken"),
        (7, "user_name_taken"),
    ]
    assert "GET /v1/import-duplicates" in desk.said
    assert counts(await desk.take(file)) == (0, 2, 5, 0)
    assert await owner.fetchval("select count(*) from auth.import_duplicates") == 5
    assert await owner.fetchval("select count(*) from auth.accounts") == 4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (";kari@;;;;", "This is not an e-mail address."),
        (";;;;;", "This is not an e-mail address."),
        (";kari@example.no;;sv;;", "Nobody is written to in this language."),
        (";kari@example.no;;;perhaps;", "active must be yes or no"),
        (";kari@example.no;;;;no.such", "There are no such rights."),
        (";kari@example.no;;;;unionfees.company-user", "These rights are given by somebody else."),
        (";kari@example.no;;;;auth.support", "These rights do not exist in an organisation of this kind."),
        ("a@b;kari@example.no;;;;", "This cannot be a user name."),
        (";kari@example.no;\u202eirak;;;", "This is not a full name."),
        (";kari@example.no;;;;;;", "more fields"),
        (";kari@example.no;" + "x" * 140_000 + ";;;", "field larger than field limit"),
    ],
)
async def test_a_line_that_is_wrong_is_named_with_its_reason_and_nothing_of_it_is_written(
    desk: Desk, owner: Owner, line: str, said: str
) -> None:
    lines = await desk.take(f"{HEADER};before@example.no;;;;\n{line}\n;after@example.no;;;;\n")
    assert counts(lines) == (2, 0, 0, 1)
    assert (desk.code, lines[0]["line"], said in lines[0]["wrong"]) == (1, 3, True), lines[0]
    rows = await owner.fetch("select address from auth.accounts order by 1")
    assert [row[0] for row in rows] == ["after@example.no", "before@example.no"]
    assert await owner.fetchval("select count(*) from auth.grants") == 0


async def test_a_name_that_is_not_utf_8_is_wrong_and_no_failure(desk: Desk) -> None:
    lines = await desk.take(
        HEADER.encode() + b";kari@example.no;K\xe5re;;;\n;k\xe5re@example.no;;;;\n;\0@example.no;;;;\n"
    )
    assert counts(lines) == (0, 0, 0, 3)


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        ("", UnreadableFile),
        ("user_name;full_name\n", UnreadableFile),
        ("address;shoe_size\n", UnreadableFile),
        ("address;address\n", UnreadableFile),
        ("kari@example.no\n", UnreadableFile),
    ],
)
async def test_a_file_without_its_columns_is_refused(desk: Desk, header: str, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        await desk.take(header + "x\n")


async def test_columns_come_in_any_order_between_commas_too(desk: Desk, owner: Owner) -> None:
    lines = await desk.take('Full_Name, ADDRESS\n"Nordmann, Kari",kari@example.no\n\n', "--language", "nn")
    assert counts(lines) == (1, 0, 0, 0)
    assert await owner.fetchval("select full_name || language from auth.accounts") == "Nordmann, Karinn"


async def test_a_trial_run_says_the_same_and_writes_nothing(desk: Desk, owner: Owner) -> None:
    file = HEADER + "a;kari@example.no;;;;\nb;kari@example.no;;;;\n;ola@;;;;\n"
    tried = await desk.take(file, "--dry-run")
    assert (counts(tried), tried[-1]["dry_run"]) == ((1, 0, 1, 1), True)
    assert await owner.fetchval("select count(*) from auth.accounts") == 0
    assert await owner.fetchval("select array_agg(type) from auth.outbox") == ["auth.OrganisationChanged.v1"]
    assert counts(await desk.take(file)) == counts(tried)


async def test_an_organisation_that_is_not_there_or_closed_is_refused(
    desk: Desk, ours: Organisation, owner: Owner
) -> None:
    with pytest.raises(NoSuchOrganisation):
        await desk.take(HEADER, organisation=uuid4())
    await owner.execute("update auth.organisations set active = false")
    with pytest.raises(OrganisationClosed):
        await desk.take(HEADER)


async def test_a_long_file_is_taken_in_batches_and_says_how_far_it_is(
    desk: Desk, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "BATCH", 20)
    monkeypatch.setattr(own, "TELL_EVERY", 40)
    lines = await desk.take("address\n" + "".join(f"p{n}@example.no\n" for n in range(90)))
    assert counts(lines) == (90, 0, 0, 0)
    assert desk.said.splitlines()[-1] == "100%, 90 lines"
    assert await owner.fetchval("select count(distinct created_at) from auth.accounts") == 5


async def duplicates(town: Town, ours: Organisation, desk: Desk) -> tuple[Acting, list[dict[str, Any]]]:
    """Import two duplicates of Ola, and let a superuser look at them."""
    boss = town.acting(await town.user(ours, "boss@example.no", SUPERUSER), ours)
    await town.user(ours, "ola@example.no")
    await desk.take(HEADER + f"one;ola@example.no;Ola En;nn;;{PAYROLL}\ntwo;ola@example.no;Ola To;;nei;\n")
    return boss, (await boss.get("/import-duplicates")).json()["items"]


@pytest.mark.rule("L19", "L20")
async def test_a_superuser_clears_a_duplicate_up_by_another_address(town: Town, ours: Organisation, desk: Desk) -> None:
    boss, (one, two) = await duplicates(town, ours, desk)
    assert (one["reason"], one["full_name"], one["groups"]) == ("address_taken", "Ola En", [PAYROLL])
    path = f"/import-duplicates/{one['id']}/resolutions"
    taken = await boss.send("POST", path, json={"address": "boss@example.no"})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:samband:auth:address-taken")
    made = await boss.send("POST", path, json={"address": "ola.en@example.no"})
    assert made.status_code == 201, made.text
    assert (made.json()["user_name"], made.json()["language"], made.json()["groups"]) == ("one", "nn", [PAYROLL])
    assert (await boss.send("POST", path, json={"address": "x@example.no"})).status_code == 404
    left = (await boss.get("/import-duplicates", limit=1)).json()
    assert ([each["id"] for each in left["items"]], left["next_cursor"]) == ([two["id"]], None)


@pytest.mark.rule("L19")
async def test_an_imported_address_is_good_once_its_first_owner_has_another(
    town: Town, ours: Organisation, desk: Desk
) -> None:
    boss, (one, two) = await duplicates(town, ours, desk)
    ola = (await boss.get("/users", text="ola@")).json()["items"][0]["id"]
    await boss.edit(UUID(ola), "*", address="first@example.no")
    answer = await boss.send("POST", f"/import-duplicates/{one['id']}/resolutions", json={"user_name": "Ola En"})
    assert (answer.json()["address"], answer.json()["user_name"]) == ("ola@example.no", "Ola En")
    assert (await boss.send("DELETE", f"/import-duplicates/{two['id']}")).status_code == 204
    assert (await boss.send("DELETE", f"/import-duplicates/{two['id']}")).status_code == 404
    assert (await boss.get("/import-duplicates")).json()["items"] == []


async def test_a_resolution_that_says_nothing_is_refused(town: Town, ours: Organisation, desk: Desk) -> None:
    boss, (one, _) = await duplicates(town, ours, desk)
    for body, status in (({}, 422), ({"address": "x"}, 422), ({"user_name": "a\nb"}, 422), ({"drop": True}, 422)):
        answer = await boss.send("POST", f"/import-duplicates/{one['id']}/resolutions", json=body)
        assert answer.status_code == status
    assert len((await boss.get("/import-duplicates")).json()["items"]) == 2


async def test_lines_that_are_taken_together_become_what_each_would_have_become_alone(
    town: Town, ours: Organisation, desk: Desk, owner: Owner
) -> None:
    await town.user(await town.organisation("Annen AS"), "taken@example.no", user_name="annen")
    await town.user(ours, "here@example.no")
    text = HEADER + "".join(
        f"{line}\n"
        for line in (
            f"Kari;kari@example.no;Kari;nn;nei;{PAYROLL} cases.accounting",
            ";KARI@example.no;;;;",
            "kari;other@example.no;;;;",
            ";taken@example.no;;;;",
            "annen;free@example.no;;;;",
            "mine;free@example.no;;;;",
            ";here@example.no;;;;",
            ";no address;;;;",
            ";plain@example.no;;;;",
        )
    )
    lines = await desk.take(text)
    assert counts(lines) == (3, 1, 4, 1)
    assert [(line["line"], line.get("reason")) for line in lines[:-1] if "duplicate" in line] == [
        (3, "address_taken"),
        (4, "user_name_taken"),
        (5, "address_taken"),
        (6, "user_name_taken"),
    ]
    rows = await owner.fetch(
        'select address, user_name, language, active from auth.accounts order by address collate "C"'
    )
    assert [
        tuple(row) for row in rows if row["address"] in {"kari@example.no", "free@example.no", "plain@example.no"}
    ] == [
        ("free@example.no", "mine", "nb", True),
        ("kari@example.no", "Kari", "nn", False),
        ("plain@example.no", None, "nb", True),
    ]
    (told,) = await town.told("RightsChanged")
    assert (told["version"], told["groups"]) == (1, ["cases.accounting", PAYROLL])
    assert len(await town.told("AccountChanged")) == 5
    assert await owner.fetchval("select count(*) from auth.grants where granted_by = 'operator'") == 2
    assert counts(await desk.take(text)) == (0, 4, 4, 1)


async def test_nobody_is_added_where_the_rights_of_the_file_cannot_be_given_any_more(
    town: Town, ours: Organisation, owner: Owner
) -> None:
    await owner.execute("update auth.organisations set active = false")
    taking = Import(ours)
    with pytest.raises(OrganisationClosed):
        async with town.conn() as conn:
            await taking.take_all(conn, [Line(2, {"address": "kari@example.no", "groups": PAYROLL})])
    assert await owner.fetchval("select count(*) from auth.accounts") == 0
