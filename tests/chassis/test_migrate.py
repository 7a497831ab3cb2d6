"""Migrations: each applied once and whole, by one runner at a time; an edited, misnamed or failing file is refused."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from chassis import migrate
from chassis.migrate import Migration, MigrationRefused
from deploy.local.provision import Urls, provision
from tests.conftest import ROOT, given
from tests.support.waiting import until

SCHEMA = "things"
Conn: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
FOLDERS = sorted([migrate.CHASSIS, *(ROOT / "services").glob("*/migrations")])


@pytest.fixture
async def urls() -> AsyncIterator[Urls]:
    """Give the way into an empty schema of a database of its own."""
    admin, name = given("SAMBAND_LOCAL_POSTGRES"), f"migrate_{secrets.token_hex(6)}"
    yield (await provision(admin, name, [SCHEMA]))[SCHEMA]
    conn = await asyncpg.connect(admin)
    await conn.execute(f"drop database {name} with (force)")
    await conn.close()


@pytest.fixture
async def conn(urls: Urls) -> AsyncIterator[Conn]:
    """Look at the schema as its login role does."""
    conn = await asyncpg.connect(urls.app)
    yield conn
    await conn.close()


def files(*statements: str) -> list[Migration]:
    return [
        Migration(SCHEMA, number, f"{number:04d}_change_things.sql", sql) for number, sql in enumerate(statements, 1)
    ]


async def tables(conn: Conn) -> set[str]:
    return {row[0] for row in await conn.fetch("select tablename from pg_tables where schemaname = $1", SCHEMA)}


async def ledger(conn: Conn) -> list[int]:
    return [row[0] for row in await conn.fetch("select number from schema_migrations order by number")]


async def test_each_migration_is_applied_once_and_a_second_run_does_nothing(urls: Urls, conn: Conn) -> None:
    wanted = files("create table a (n integer)", "insert into a values (1); insert into a values (2)")
    assert await migrate.apply(urls.owner, SCHEMA, wanted) == wanted
    assert await migrate.apply(urls.owner, SCHEMA, wanted) == []
    assert await conn.fetchval("select count(*) from a") == 2
    assert await ledger(conn) == [1, 2]


async def test_a_later_release_applies_only_what_is_new(urls: Urls, conn: Conn) -> None:
    first, second = files("create table a (n integer)", "create table b (n integer)")
    await migrate.apply(urls.owner, SCHEMA, [first])
    assert await migrate.apply(urls.owner, SCHEMA, [first, second]) == [second]


async def test_a_file_that_was_edited_after_it_was_applied_is_refused_by_name_and_nothing_else_is_applied(
    urls: Urls, conn: Conn
) -> None:
    await migrate.apply(urls.owner, SCHEMA, files("create table a (n integer)"))
    edited = files("create table a (n bigint)", "create table b (n integer)")
    with pytest.raises(MigrationRefused, match=r"things: 0001_change_things\.sql was edited after it was applied"):
        await migrate.apply(urls.owner, SCHEMA, edited)
    assert await tables(conn) == {"a", "schema_migrations"}
    assert await ledger(conn) == [1]


async def test_a_file_that_fails_in_the_middle_leaves_nothing_of_itself_and_is_named(urls: Urls, conn: Conn) -> None:
    failing = "create table b (n integer); insert into b values (1); select 1 / 0; create table c (n integer)"
    wanted = files("create table a (n integer)", failing, "create table d (n integer)")
    with pytest.raises(MigrationRefused, match=r"things 0002_change_things\.sql failed and was rolled back"):
        await migrate.apply(urls.owner, SCHEMA, wanted)
    assert await tables(conn) == {"a", "schema_migrations"}
    assert await ledger(conn) == [1]
    mended = files("create table a (n integer)", "create table b (n integer)", "create table d (n integer)")
    assert await migrate.apply(urls.owner, SCHEMA, mended) == mended[1:]


@pytest.mark.parametrize("ending", ["commit", "ROLLBACK", "abort work", "begin; insert into a values (1); commit"])
def test_a_file_that_would_end_its_own_transaction_is_refused(ending: str, tmp_path: Path) -> None:
    (tmp_path / "0001_add_a.sql").write_text(f"create table a (n integer); {ending};", encoding="utf-8")
    with pytest.raises(MigrationRefused, match=r"things: 0001_add_a\.sql must not say"):
        migrate.read("things", tmp_path)


def test_a_function_a_text_or_a_comment_may_speak_of_transactions(tmp_path: Path) -> None:
    sql = "-- ;commit\n/* ; rollback */ select '; commit', $$ begin; commit; end $$, $x$ ; abort $x$"
    (tmp_path / "0001_add_a.sql").write_text(sql, encoding="utf-8")
    assert len(migrate.read("things", tmp_path)) == 1


async def test_two_runners_at_once_both_succeed_and_each_migration_is_applied_once(urls: Urls, conn: Conn) -> None:
    wanted = files("create table a (n integer)", "insert into a values (1)", "insert into a values (2)")
    done = await asyncio.gather(*(migrate.apply(urls.owner, SCHEMA, wanted) for _ in range(4)))
    assert sorted(map(len, done)) == [0, 0, 0, 3]
    assert await conn.fetchval("select count(*) from a") == 2


async def test_a_runner_that_does_not_finish_is_named_as_the_reason(
    urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 0.05)
    other = await asyncpg.connect(urls.owner, server_settings={"search_path": SCHEMA})
    await other.execute(migrate.LOCK)
    with pytest.raises(MigrationRefused, match="another migration has run"):
        await migrate.apply(urls.owner, SCHEMA, files("create table a (n integer)"))
    await other.close()
    assert len(await until(lambda: migrate.apply(urls.owner, SCHEMA, files("select 1")), what="the lock")) == 1


async def test_a_runner_that_died_leaves_no_lock(urls: Urls) -> None:
    dead = await asyncpg.connect(urls.owner, server_settings={"search_path": SCHEMA})
    await dead.execute(migrate.LOCK)
    dead.terminate()
    assert len(await migrate.apply(urls.owner, SCHEMA, files("select 1"))) == 1


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["1_add_thing.sql"], "1_add_thing.sql is not named NNNN_verb_noun.sql"),
        (["0001-add-thing.sql"], "0001-add-thing.sql is not named NNNN_verb_noun.sql"),
        (["0001_AddThing.sql"], "0001_AddThing.sql is not named NNNN_verb_noun.sql"),
        (["0002_add_thing.sql"], "0002_add_thing.sql should be number 0001"),
        (["0001_add_thing.sql", "0003_drop_thing.sql"], "0003_drop_thing.sql should be number 0002"),
        (["0001_add_thing.sql", "0001_drop_thing.sql"], "0001_drop_thing.sql should be number 0002"),
    ],
)
def test_a_wrong_name_a_gap_and_a_doubled_number_are_refused_by_name(
    names: list[str], says: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1", encoding="utf-8")
    with pytest.raises(MigrationRefused) as refused:
        migrate.read("things", tmp_path)
    assert str(refused.value).startswith(f"things: {says}")


def test_a_service_has_the_chassis_migrations_before_its_own(tmp_path: Path) -> None:
    (tmp_path / "0001_add_thing.sql").write_text("select 1", encoding="utf-8")
    found = migrate.of_service("things", tmp_path)
    assert [migration.origin for migration in found] == ["chassis"] * (len(found) - 1) + ["things"]
    assert len(found) > 1


async def test_a_service_does_not_start_on_a_schema_that_lacks_a_migration_and_says_what_to_run(urls: Urls) -> None:
    wanted = files("create table a (n integer)", "create table b (n integer)")
    with pytest.raises(MigrationRefused) as empty:
        await migrate.require_current(urls.app, SCHEMA, wanted)
    await migrate.apply(urls.owner, SCHEMA, wanted[:1])
    with pytest.raises(MigrationRefused) as behind:
        await migrate.require_current(urls.app, SCHEMA, wanted)
    assert "lacks 2 migration(s), first things 0001_change_things.sql" in str(empty.value)
    assert "lacks 1 migration(s), first things 0002_change_things.sql" in str(behind.value)
    assert all("run `python -m services.things migrate`" in str(refused.value) for refused in (empty, behind))


async def test_a_schema_that_is_ahead_fits_and_one_that_was_edited_does_not(urls: Urls) -> None:
    wanted = files("create table a (n integer)", "create table b (n integer)")
    await migrate.apply(urls.owner, SCHEMA, wanted)
    await migrate.require_current(urls.app, SCHEMA, wanted)
    await migrate.require_current(urls.app, SCHEMA, wanted[:1])
    with pytest.raises(MigrationRefused, match="0001_change_things"):
        await migrate.require_current(urls.app, SCHEMA, files("create table a (n bigint)"))


def test_the_chassis_and_at_least_two_services_have_migrations() -> None:
    assert len(FOLDERS) >= 3
    assert all(migrate.read(folder.parent.name, folder) for folder in FOLDERS)


RULE = re.compile(
    r"(?<!\w)(primary\s+key|unique|check|references|foreign\s+key|exclude)(?=\s*\(|\s+\w|\s*,)", re.IGNORECASE
)
NAMED = re.compile(r"constraint\s+\w+\s+(foreign\s+key\s*\([^)]*\)\s*)?$", re.IGNORECASE)
NO_RULES = re.compile(
    r"--[^\n]*|\$\$.*?\$\$|'(?:[^']|'')*'|create\s+unique\s+index|with\s+check(?=\s*\()", re.IGNORECASE | re.DOTALL
)


@pytest.mark.parametrize(
    "path", [path for folder in FOLDERS for path in sorted(folder.glob("*.sql"))], ids=lambda path: path.name
)
def test_every_rule_of_the_data_is_a_named_constraint(path: Path) -> None:
    sql = NO_RULES.sub("''", path.read_text(encoding="utf-8"))
    found = list(RULE.finditer(sql))
    nameless = [sql[max(0, rule.start() - 60) : rule.end()] for rule in found if not NAMED.search(sql[: rule.start()])]
    assert found or "create table" not in sql
    assert nameless == []
