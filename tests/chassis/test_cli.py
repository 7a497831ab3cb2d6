"""The command line: help that teaches, configuration that is explained, and set-aside messages in a person's hands."""

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord

from chassis import cli, dead_letters, logging
from chassis.arrival import Arrival
from chassis.commands.command import EX_CONFIG, EX_UNAVAILABLE, Bare, Command, moment
from chassis.outbox import MessageTooLarge
from chassis.postgres import Database
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from deploy.local.ports import free_port
from services.auth import __main__ as auth
from services.auth import commands
from tests.conftest import ROOT, Clone
from tests.support.lanes import TOPIC, body, headers

CANARY = "canary-141421"
SERVICE = Service("things", ServiceSettings, ROOT / "services" / "things")


async def run_module(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run `python -m services.auth` with nothing of ours in the environment; gives exit code and both outputs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAMBAND_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.auth", *arguments, cwd=ROOT, env=inherited | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


Main = Callable[..., Awaitable[tuple[int, str, str]]]
Run = Callable[..., Awaitable[tuple[int, list[dict[str, Any]], str]]]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Main:
    """Do what `run_module` does, faster: in a thread of this process."""
    for name in [name for name in os.environ if name.startswith("SAMBAND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(logging, "configure", lambda *_: None)

    def to_the_end() -> int:
        try:
            return cli.main(auth.SERVICE, commands.COMMANDS)
        except SystemExit as end:
            return int(end.code or 0)

    async def run_one(*arguments: str, **environment: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["auth", *arguments])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = await asyncio.to_thread(to_the_end)
        return code, *capsys.readouterr()

    return run_one


async def test_the_module_is_the_program() -> None:
    code, out, _ = await run_module("--help")
    assert code == 0
    assert out.startswith("usage: python -m services.auth")
    code, out, err = await run_module("worker")
    assert (code, out) == (EX_CONFIG, "")
    assert "Traceback" not in err


async def test_help_lists_every_command_with_what_it_does(main: Main) -> None:
    code, out, _ = await main("--help")
    assert code == 0
    for command in (
        "api",
        "worker",
        "all",
        "migrate",
        "outbox",
        "dead-letters",
        "restored",
        "republish",
        "keys",
        "doctor",
        "accounts",
    ):
        assert re.search(rf"^    {command}\s", out, re.MULTILINE)
    assert "bring the schema up to date" in out
    code, out, _ = await main("dead-letters", "--help")
    assert code == 0
    assert all(re.search(rf"^    {command}\s", out, re.MULTILINE) for command in ("list", "show", "replay", "discard"))


@pytest.mark.parametrize("command", cli.common(auth.SERVICE), ids=lambda command: command.name)
def test_every_common_command_teaches_what_it_is_for(
    command: Command | Bare, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.parser(auth.SERVICE).parse_args([*command.name.split(), "--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert len(command.about) > len(command.help) + 40
    assert command.about in said


@pytest.mark.parametrize(
    "arguments", [["nonsense"], [], ["outbox"], ["dead-letters", "replay"], ["dead-letters", "replay", "1", "--all"]]
)
async def test_an_unknown_or_unfinished_command_ends_with_2_and_says_how_it_is_used(
    arguments: list[str], main: Main
) -> None:
    code, out, err = await main(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: python -m services.auth")


@pytest.mark.parametrize("command", [["api"], ["worker"], ["migrate"], ["dead-letters", "list"]])
async def test_a_missing_environment_ends_with_78_and_names_each_variable_but_no_value(
    command: list[str], main: Main
) -> None:
    code, out, err = await main(*command, SAMBAND_CODE_KEY=CANARY, SAMBAND_HTTP_PORT=CANARY)
    assert (code, out) == (EX_CONFIG, "")
    assert err.startswith("error: auth cannot start, its environment is not right:\n")
    for name in ("DATABASE_URL", "PUBLIC_KEYS", "PRIVATE_KEYS", "CODE_KEY", "HTTP_PORT"):
        assert f"  SAMBAND_{name}: " in err
    assert CANARY not in err


def right(clone: Clone, **changes: str) -> dict[str, str]:
    keys = clone.cluster.keys
    found = {"SAMBAND_DATABASE_URL": clone.urls("auth").app, "SAMBAND_CODE_KEY": "A" * 44}
    found |= {"SAMBAND_PASSWORD_PEPPER": "B" * 44, "SAMBAND_PUBLIC_KEYS": str(keys / "public")}
    found |= {"SAMBAND_PRIVATE_KEYS": str(keys / "private" / "auth.json")}
    found |= {"SAMBAND_TOKEN_PRIVATE_KEYS": str(keys / "tokens" / "private.json")}
    return found | changes


@pytest.mark.parametrize(
    ("command", "changes", "says"),
    [
        ("migrate", {}, "needs SAMBAND_OWNER_DATABASE_URL"),
        ("worker", {}, "SAMBAND_KAFKA is missing"),
        ("dead-letters list", {"SAMBAND_PUBLIC_KEYS": "/nowhere/at/all"}, "/nowhere/at/all does not exist"),
    ],
)
async def test_what_is_configured_wrongly_besides_is_explained_and_ends_with_78_too(
    command: str, changes: dict[str, str], says: str, main: Main, clone: Clone
) -> None:
    code, out, err = await main(*command.split(), **right(clone, **changes))
    assert (code, out) == (EX_CONFIG, "")
    assert err.startswith("error: ") and says in err


async def test_a_postgres_that_is_away_or_refuses_is_said_to_be_so_and_ends_with_69(
    main: Main, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "CONNECT_SECONDS", 0.2)
    port = free_port()
    away = f"postgresql://auth_app:secret@127.0.0.1:{port}/samband"
    code, out, err = await main("outbox", "status", **right(clone, SAMBAND_DATABASE_URL=away))
    assert (code, out, err) == (EX_UNAVAILABLE, "", f"error: Postgres at 127.0.0.1:{port} did not answer in 0.2 s\n")
    strange = clone.urls("auth").app.replace("auth_app:", "auth_app:not-")
    for command in ("outbox status", "migrate --check"):
        code, out, err = await main(*command.split(), **right(clone, SAMBAND_DATABASE_URL=strange))
        assert (code, out) == (EX_UNAVAILABLE, "")
        assert err.startswith("error: Postgres does not answer as it should: password authentication failed")


async def test_migrate_can_only_look(main: Main, clone: Clone, owner: Any) -> None:
    code, out, _ = await main("migrate", "--check", **right(clone))
    assert (code, json.loads(out)) == (0, {"schema": "auth", "missing": [], "check": True})
    await owner.execute("delete from auth.schema_migrations where origin = 'auth' and number = 1")
    code, out, _ = await main("migrate", "--check", **right(clone))
    assert (code, json.loads(out)["missing"]) == (1, ["auth 0001_create_accounts_and_codes.sql"])
    assert await owner.fetchval("select count(*) from auth.schema_migrations where origin = 'auth' and number = 1") == 0
    await owner.execute("create table auth.spoilt ()")  # This database is not given to another test.


async def test_a_command_prints_a_line_of_json_and_nothing_else(main: Main, clone: Clone) -> None:
    code, out, err = await main("outbox", "replay", "--since", "90m", "--dry-run", **right(clone))
    assert (code, err) == (0, "")
    assert json.loads(out) == {"found": 0, "owed_again": 0, "kept_no_value": 0, "dry_run": True}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-23T08:00:00+01:00", datetime(2026, 11, 23, 7, tzinfo=UTC)),
        ("2026-11-23T08:00:00Z", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23T08:00:00", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_and_without_an_offset_it_is_utc(text: str, found: datetime) -> None:
    assert moment(text) == found


@pytest.mark.parametrize(
    ("text", "back"),
    [("0m", timedelta()), ("90m", timedelta(minutes=90)), ("6h", timedelta(hours=6)), ("7d", timedelta(days=7))],
)
def test_a_span_is_counted_back_from_now(text: str, back: timedelta) -> None:
    before = datetime.now(UTC)
    assert before - back <= moment(text) <= datetime.now(UTC) - back


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        "-1d",
        "1.5h",
        "1w",
        "²d",
        "yesterday",
        "23.11.2026",
        "99999999999d",
        "3000000d",
        "0001-01-01T00:00+14:00",
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a time such as 2026-11-23T08:00:00"):
        moment(text)


@pytest.mark.parametrize(
    "line", ["show 0", "show 9223372036854775808", "list --after 1e3", "list --limit -1", "discard ٣"]
)
def test_a_number_that_is_none_or_that_no_row_can_have_is_refused_in_words(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.parser(SERVICE, ()).parse_args(["dead-letters", *line.split()])
    assert end.value.code == 2
    assert "must be a whole number from 1 to 9223372036854775807" in capsys.readouterr().err


@pytest.fixture
def run(database: Database, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command of `things` as the command line would; gives exit code, lines of output, and what was said."""

    async def run_one(line: str) -> tuple[int, list[dict[str, Any]], str]:
        given = cli.parser(SERVICE, ()).parse_args(line.split())
        code = await given.work(Runtime(cast("Any", None), database), given)
        out, err = capsys.readouterr()
        return code, [json.loads(each) for each in out.splitlines()], err

    return run_one


async def set_aside(database: Database, count: int = 1) -> list[int]:
    """Park messages, as a refusal does at once; gives their ids."""
    async with database.transaction() as conn:
        for n in range(count):
            value = body(thing_id=uuid4(), n=n, note=CANARY)
            given = (*headers("auth.ThingHappened.v1"), ("x-foreign", b"\xff"))
            record = ConsumerRecord(TOPIC, 0, n, 0, 0, CANARY.encode(), value, None, 0, 0, given)
            await dead_letters.set_aside(conn, "urgent", Arrival.of(record), MessageTooLarge())
        return [letter.id for letter in await dead_letters.page(conn)]


async def test_the_list_tells_what_happened_without_content_and_goes_on_where_it_ended(
    run: Run, database: Database
) -> None:
    ids = await set_aside(database, 3)
    code, lines, said = await run("dead-letters list --limit 2")
    assert code == 0
    assert [(line["id"], line["state"]) for line in lines] == [(letter_id, "parked") for letter_id in ids[:2]]
    assert CANARY not in json.dumps(lines) and not [line for line in lines if "sealed_record" in line]
    assert f"dead-letters list --after {ids[1]}" in said
    assert [line["id"] for line in (await run(f"dead-letters list --after {ids[1]}"))[1]] == ids[2:]


async def test_one_is_shown_with_its_content_only_when_that_is_asked_for(run: Run, database: Database) -> None:
    (letter_id,) = await set_aside(database)
    _, (summary,), _ = await run(f"dead-letters show {letter_id}")
    code, (opened,), _ = await run(f"dead-letters show {letter_id} --content")
    assert code == 0
    assert CANARY not in json.dumps(summary)
    assert (opened["key"], json.loads(opened["value"])["note"]) == (CANARY, CANARY)
    assert (opened["headers"]["ce_type"], opened["headers"]["x-foreign"]) == ("auth.ThingHappened.v1", "\\xff")


async def test_content_that_does_not_open_is_said_to_be_so(run: Run, database: Database, owner: Any) -> None:
    (letter_id,) = await set_aside(database)
    await owner.execute("update things.dead_letters set sealed_record = 'a.b.c.d.e'")
    code, lines, said = await run(f"dead-letters show {letter_id} --content")
    assert (code, lines) == (1, [])
    assert said.startswith("its content does not open: urgent.dead_letter does not open")


async def test_parked_messages_are_tried_again_one_or_all_and_waiting_ones_are_left_alone(
    run: Run, database: Database
) -> None:
    ids = await set_aside(database, 3)
    assert await run(f"dead-letters replay {ids[0]}") == (0, [{"to_be_tried_again": 1}], "")
    assert await run(f"dead-letters replay {ids[0]}") == (1, [{"to_be_tried_again": 0}], "")
    assert await run("dead-letters replay --all") == (0, [{"to_be_tried_again": 2}], "")
    assert await run("dead-letters replay --all") == (0, [{"to_be_tried_again": 0}], "")
    _, lines, _ = await run("dead-letters list")
    assert [(line["state"], line["attempts"]) for line in lines] == [("waiting", 0)] * 3


async def test_a_discarded_message_is_gone(run: Run, database: Database) -> None:
    (letter_id,) = await set_aside(database)
    assert await run(f"dead-letters discard {letter_id}") == (0, [{"discarded": 1}], "")
    assert await run("dead-letters list") == (0, [], "")


@pytest.mark.parametrize("command", ["show", "show --content", "replay", "discard"])
async def test_an_id_that_nothing_has_ends_with_1(command: str, run: Run, database: Database) -> None:
    name, _, option = command.partition(" ")
    code, _, _ = await run(f"dead-letters {name} 999 {option}")
    assert code == 1
