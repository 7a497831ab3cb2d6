"""Migrate: numbered SQL files, each applied once, in one transaction with the note that it was.

Files are `NNNN_verb_noun.sql`, forward only, and fit the release before and after. The chassis' own come first.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

from chassis.errors import Misconfigured

log = structlog.get_logger()

CHASSIS = Path(__file__).parent / "migrations"
NAME = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")
LOCK_SECONDS = 60
NO_STATEMENT = re.compile(r"--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
ENDS_TRANSACTION = re.compile(r"(?:\A|;)\s*(commit|rollback|abort)\b", re.IGNORECASE)

CREATE_LEDGER = """
create table if not exists schema_migrations (
    origin text not null,
    number integer not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now(),
    constraint schema_migrations_pk primary key (origin, number)
)"""
SELECT_APPLIED = "select origin, number, name, checksum from schema_migrations"
INSERT_APPLIED = "insert into schema_migrations (origin, number, name, checksum) values ($1, $2, $3, $4)"
LOCK = "select pg_advisory_lock(hashtextextended('migrate ' || current_schema, 0))"
UNLOCK = "select pg_advisory_unlock(hashtextextended('migrate ' || current_schema, 0))"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `origin` is `chassis` or the service."""

    origin: str
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class MigrationRefused(Misconfigured):
    """A migration cannot be applied, or should not be; the text names the file and says why."""


def read(origin: str, folder: Path) -> list[Migration]:
    """Read a folder's migrations in order.

    Raises `MigrationRefused` on a wrong name, a gap, a doubled number, or a file that ends its own transaction: half of
    it would stay when the rest fails.
    """
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = NAME.fullmatch(path.name)
        if match is None:
            raise MigrationRefused(f"{origin}: {path.name} is not named NNNN_verb_noun.sql")
        migrations.append(Migration(origin, int(match["number"]), path.name, path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(migrations, start=1):
        if found := ENDS_TRANSACTION.search(NO_STATEMENT.sub("''", migration.sql)):
            raise MigrationRefused(f"{origin}: {migration.name} must not say `{found[1]}`: a file is one transaction")
        if migration.number != expected:
            raise MigrationRefused(f"{origin}: {migration.name} should be number {expected:04d}; numbers have no gaps")
    return migrations


def of_service(service: str, folder: Path) -> list[Migration]:
    """Give all migrations of a service's schema in the order they are applied."""
    return [*read("chassis", CHASSIS), *read(service, folder)]


async def apply(url: str, schema: str, migrations: list[Migration]) -> list[Migration]:
    """Apply what is missing and return it; another runner at the same time is waited for, up to a minute.

    Raises `MigrationRefused` when an applied file was edited afterwards, when a file fails (the database is then as
    before it), or when the other runner does not finish.
    """
    conn = await asyncpg.connect(
        url, timeout=10, server_settings={"search_path": f"{schema}, pg_temp", "lock_timeout": f"{LOCK_SECONDS}s"}
    )
    try:
        try:
            await conn.execute(LOCK)
        except asyncpg.LockNotAvailableError:
            raise MigrationRefused(
                f"{schema}: another migration has run for {LOCK_SECONDS} s; try again when it is done"
            ) from None
        await conn.execute(CREATE_LEDGER)
        lacking = await pending(conn, migrations)
        for migration in lacking:
            await _apply_one(conn, schema, migration)
        await conn.execute(UNLOCK)
        return lacking
    finally:
        await conn.close()


async def pending(conn: "asyncpg.Connection[asyncpg.Record]", migrations: list[Migration]) -> list[Migration]:
    """Give the migrations that this database lacks; raises `MigrationRefused` for one that was edited after it was applied."""
    applied = {(row["origin"], row["number"]): row for row in await conn.fetch(SELECT_APPLIED)}
    lacking = []
    for migration in migrations:
        row = applied.get((migration.origin, migration.number))
        if row is None:
            lacking.append(migration)
        elif row["checksum"] != migration.checksum:
            raise MigrationRefused(
                f"{migration.origin}: {migration.name} was edited after it was applied (as {row['name']}, checksum "
                f"{row['checksum'][:12]}…, the file now has {migration.checksum[:12]}…); restore the file and write a new one"
            )
    return lacking


async def missing(url: str, schema: str, migrations: list[Migration]) -> list[Migration]:
    """Give what the schema lacks, all of it where there is none; raises `MigrationRefused` for one that was edited."""
    conn = await asyncpg.connect(url, timeout=10, server_settings={"search_path": schema})
    try:
        return await pending(conn, migrations)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return migrations
    finally:
        await conn.close()


async def require_current(url: str, schema: str, migrations: list[Migration]) -> None:
    """Refuse to start on a schema that lacks a migration; a schema that is ahead fits, by the rule that files keep."""
    if lacking := await missing(url, schema, migrations):
        raise MigrationRefused(
            f"{schema}: the database lacks {len(lacking)} migration(s), first {lacking[0].origin} {lacking[0].name}; "
            f"run `python -m services.{schema} migrate`"
        )


async def _apply_one(conn: "asyncpg.Connection[asyncpg.Record]", schema: str, migration: Migration) -> None:
    try:
        async with conn.transaction():
            await conn.execute("set local lock_timeout = '5s'")
            await conn.execute("set local statement_timeout = '300s'")
            await conn.execute(migration.sql)
            await conn.execute(INSERT_APPLIED, migration.origin, migration.number, migration.name, migration.checksum)
    except asyncpg.PostgresError as error:
        raise MigrationRefused(
            f"{schema}: {migration.origin} {migration.name} failed and was rolled back: {error}"
        ) from error
    log.info("migration_applied", schema=schema, migration=f"{migration.origin} {migration.name}")
