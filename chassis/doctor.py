"""Doctor: looks at everything a service stands on, one check after another, also where half of it is missing.

A check never raises: what it cannot reach it says so of, with what to do, and the next one goes on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from chassis import ghosts, keysets, migrate, postgres, tokens, topics, voids
from chassis import settings as environment
from chassis.errors import CannotLook, Misconfigured
from chassis.keysets import KeySets
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.systems import Systems
from chassis.upkeep import Finding, Look, Verdict

POSTGRES = 18
POSTGRES_SECONDS = 5.0
COMMAND_SECONDS = 65.0
"""Longer than a statement may take: who is silent for so long does not answer at all."""
CHECK_SECONDS = 120.0
"""The most that one check may take, whatever it waits for."""
CLOCK_SECONDS = 2.0
"""The most that this machine's clock may differ from Postgres' one."""
TAIL = timedelta(days=1)
"""How old a last record may be for the archive to be searched for it."""
NEEDS_POSTGRES = ("role", "migrations", "clock", "history")
NEEDS_KAFKA = ("topics", "history")

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def examine(of: Service[Any]) -> AsyncIterator[Finding]:
    """Give what each check finds, in an order in which a person would mend it."""
    try:
        read = environment.read(of.settings, of.name)
    except Misconfigured as error:
        yield _wrong("settings", str(error), "give what is missing (docs/operate.md lists all), then look again")
        for name in ("keys", "postgres", *NEEDS_POSTGRES, "kafka", "topics"):
            yield _could_not(name, "the settings come first", "mend the settings, then look again")
        return
    yield _ok("settings", "all can be read")
    yield await _guarded("keys", lambda: _keys(of, read))
    async for finding in _on_postgres_and_kafka(of, read):
        yield finding
    for check in of.upkeep.checks(read):
        yield await _guarded("check", check)


async def _on_postgres_and_kafka(of: Service[Any], read: ServiceSettings) -> AsyncIterator[Finding]:
    kafka = await _guarded("kafka", lambda: _kafka(read))
    try:
        async with _connected(read) as conn:
            yield await _guarded("postgres", lambda: _postgres(conn))
            yield await _guarded("role", lambda: _role(conn, of.name))
            yield await _guarded("migrations", lambda: _migrations(conn, of))
            yield await _guarded("clock", lambda: _clock(conn))
            yield kafka
            for name, look in (("topics", lambda: _topics(of, read)), ("history", lambda: _history(conn, of, read))):
                yield await _if_there(kafka, name, look)
    except CannotLook as error:
        yield _wrong(
            "postgres", str(error), "see that it runs, and that SAMBAND_DATABASE_URL has its address, role and password"
        )
        for name in NEEDS_POSTGRES:
            yield _could_not(name, "Postgres does not answer", "mend Postgres, then look again")
        yield kafka
        yield await _if_there(kafka, "topics", lambda: _topics(of, read))


@asynccontextmanager
async def _connected(read: ServiceSettings) -> AsyncIterator["Connection"]:
    """Open a connection as the login role; raises `CannotLook`."""
    place = f"Postgres at {environment.place(read.database_url)}"
    settings = {"application_name": "samband doctor command", "statement_timeout": "60s"}
    try:
        conn = await asyncpg.connect(
            read.database_url,
            timeout=POSTGRES_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings=settings,
        )
    except asyncpg.PostgresError as error:
        raise CannotLook(f"{place} refuses: {error}") from None
    except (OSError, asyncpg.InterfaceError, ValueError) as error:
        raise CannotLook(f"{place} does not answer: {type(error).__name__}") from None
    try:
        yield conn
    finally:
        conn.terminate()


async def _keys(of: Service[Any], read: ServiceSettings) -> Finding:
    sets = KeySets(of.name, read.public_keys, read.private_keys)
    try:
        found, systems = keysets.list_keys(sets), list(Systems.load(read.systems))
        issued = list(tokens.read_keys(read.token_keys)) if read.token_keys else []
    except Misconfigured as error:
        return _wrong("keys", str(error), "mount what is missing; `keys list` shows what is there")
    if faults := keysets.faults(sets, of.sealed_to):
        return _wrong("keys", "; ".join(faults), "mend the sets before anything is sealed; `keys list` shows each key")
    given = [read.token_keys is not None, read.token_issuer is not None]
    if any(given) != all(given) or (voids.are_heard(of.handlers) and not any(given)):
        return _wrong(
            "keys",
            "SAMBAND_TOKEN_KEYS and SAMBAND_TOKEN_ISSUER are not both set",
            "give both: without them this service cannot tell whose access tokens are good",
        )
    used = [key.key for key in found if key.used_by_writers and key.reader == of.name]
    asking = f"; {len(systems)} systems may send requests" if systems else ""
    signing = f"; access tokens are signed by {', '.join(issued)}" if issued else ""
    return _ok("keys", f"{len(found)} keys fit together; writers seal to {', '.join(used)}{asking}{signing}")


async def _postgres(conn: "Connection") -> Finding:
    found = f"PostgreSQL {await conn.fetchval('show server_version')}"
    if conn.get_server_version().major < POSTGRES:
        return _wrong("postgres", found, f"PostgreSQL {POSTGRES} or later is needed (uuidv7() among others)")
    return _ok("postgres", found)


SELECT_ROLE = """
select r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole or r.rolcreatedb as creates, current_schema() as schema,
    (select count(*) from pg_shdepend d where d.refobjid = r.oid and d.deptype = 'o') as owns,
    exists (select from pg_namespace n where n.nspname = $1 and pg_has_role(r.oid, n.nspowner, 'member')) as is_owner,
    array(select n.nspname::text from pg_namespace n
        where n.nspname not in ($1, 'information_schema', 'public') and n.nspname not like 'pg\\_%'
          and has_schema_privilege(r.oid, n.oid, 'usage') order by 1) as others
from pg_roles r where r.rolname = current_user"""


async def _role(conn: "Connection", schema: str) -> Finding:
    row = await conn.fetchrow(SELECT_ROLE, schema)
    assert row is not None  # noqa: S101 -- the session has a role.
    faults = [
        text
        for holds, text in (
            (row["rolsuper"], "is a superuser"),
            (row["rolbypassrls"], "bypasses row level security"),
            (row["creates"], "may make roles or databases"),
            (row["owns"], f"owns {row['owns']} objects"),
            (row["is_owner"], f"is a member of the owner of the schema {schema}"),
            (row["schema"] != schema, f"works in the schema {row['schema']} and not in {schema}"),
            (row["others"], f"may use the schemas {', '.join(row['others'])}"),
        )
        if holds
    ]
    if faults:
        return _wrong(
            "role",
            f"the login role {row['rolname']} {', '.join(faults)}",
            "take that away: it owns nothing, and reads and writes rows of its own schema alone, its search_path",
        )
    return _ok("role", f"{row['rolname']} owns nothing and sees no schema but {schema}")


async def _migrations(conn: "Connection", of: Service[Any]) -> Finding:
    try:
        missing = await migrate.pending(conn, of.migrations)
    except asyncpg.UndefinedTableError:
        missing = of.migrations
    except Misconfigured as error:
        return _wrong("migrations", str(error), "restore the file as it was applied")
    if missing:
        names = ", ".join(f"{migration.origin} {migration.name}" for migration in missing)
        return _wrong(
            "migrations", f"{len(missing)} are missing: {names}", f"run `python -m services.{of.name} migrate`"
        )
    return _ok("migrations", f"all {len(of.migrations)} are applied")


async def _clock(conn: "Connection") -> Finding:
    before = datetime.now(UTC)
    theirs: datetime = await conn.fetchval("select clock_timestamp()")
    after = datetime.now(UTC)
    off = max((theirs - after).total_seconds(), (before - theirs).total_seconds(), 0.0)
    found = f"this machine's clock and Postgres' one differ by {off:.1f} s"
    if off > CLOCK_SECONDS:
        return _wrong("clock", found, "let both take their time from the same servers (NTP); Postgres' one decides")
    return _ok("clock", found)


async def _kafka(read: ServiceSettings) -> Finding:
    if not read.kafka:
        return _left_out("kafka", "SAMBAND_KAFKA is not set", "an api needs none; for a worker set it, then look again")
    try:
        new = await topics.is_kafka_4(read.kafka)
    except CannotLook as error:
        return _wrong("kafka", str(error), "see that it runs, and that SAMBAND_KAFKA has its address")
    if not new:
        return _wrong("kafka", f"Kafka at {read.kafka} is older than 4.0", "bring it to 4.0 or later")
    makes = await topics.makes_topics(read.kafka)
    if makes:
        return _wrong(
            "kafka",
            f"Kafka at {read.kafka} makes every topic that somebody asks for",
            f"set {topics.MAKES_TOPICS} to false on each broker: a name typed wrongly would become a topic",
        )
    told = "and does not tell whether it makes topics by itself" if makes is None else "and makes no topic by itself"
    return _ok("kafka", f"Kafka at {read.kafka} answers, is 4.0 or later, {told}")


async def _topics(of: Service[Any], read: ServiceSettings) -> Finding:
    differences = await topics.compare(str(read.kafka), of.topics, read.topic_prefix)
    if differences:
        found = "; ".join(str(difference) for difference in differences)
        return _wrong(
            "topics", found, "`python -m deploy.documents topics` prints what is declared; a service makes none"
        )
    return _ok("topics", f"{len(of.topics)} are as they are declared")


SELECT_RESTORED = "select coalesce(max(restored_at), '-infinity'::timestamptz) < $1::timestamptz from restores"


async def _history(conn: "Connection", of: Service[Any], read: ServiceSettings) -> Finding:
    """See whether the last records of the own topics are known: those of a database that was restored are not."""
    if not read.archive_days:
        return _left_out(
            "history", "nothing is archived (SAMBAND_ARCHIVE_DAYS is 0)", "without an archive nobody can tell"
        )
    own = [topic.name for topic in of.topics if topic.owner == of.name and not topic.takes_requests]
    oldest = datetime.now(UTC) - TAIL
    last = [each for each in await ghosts.last_records(str(read.kafka), own, read.topic_prefix) if each[1] > oldest]
    async with conn.transaction():
        known = await ghosts.known_of(conn, [arrival for arrival, _ in last], since=oldest)
        strange = [
            arrival
            for arrival, moment in last
            if ghosts.id_of(arrival) not in known and await conn.fetchval(SELECT_RESTORED, moment)
        ]
    if strange:
        first = strange[0]
        return _wrong(
            "history",
            f"Kafka has records that this database never sent, such as {first.topic} {first.partition}:{first.offset}",
            "was it restored, or failed over to a standby that was behind? See `Restore` in docs/operations.md",
        )
    return _ok("history", f"the last records of {len(own)} topics are known to the database")


async def _if_there(kafka: Finding, name: str, look: Look) -> Finding:
    if kafka.verdict is Verdict.NOT_LOOKED_AT:
        return _left_out(name, kafka.found, kafka.do)
    if kafka.verdict is not Verdict.OK:
        return _could_not(name, "Kafka does not answer as it should", "mend Kafka, then look again")
    return await _guarded(name, look)


async def _guarded(name: str, look: Look) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await look()
    except CannotLook as error:
        return _could_not(name, str(error), "mend that, then look again")
    except TimeoutError:
        return _could_not(name, "what it asks did not answer in time", "mend what is above, then look again")
    except Exception as error:
        if not postgres.is_outage(error) and not isinstance(error, asyncpg.PostgresError):
            raise
        return _could_not(name, f"Postgres did not tell: {type(error).__name__}", "mend what is above, then look again")


def _ok(check: str, found: str) -> Finding:
    return Finding(check, Verdict.OK, found)


def _wrong(check: str, found: str, do: str) -> Finding:
    return Finding(check, Verdict.WRONG, found, do)


def _could_not(check: str, found: str, do: str) -> Finding:
    return Finding(check, Verdict.COULD_NOT_LOOK, found, do)


def _left_out(check: str, found: str, do: str) -> Finding:
    return Finding(check, Verdict.NOT_LOOKED_AT, found, do)
