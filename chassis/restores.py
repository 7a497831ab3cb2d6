"""Restores: a database that was restored counts on from the clock, so that its truth is newer than any that was lost.

What the lost time has used of numbers nobody knows: it may have ended on another restore, and Kafka forgets. So both the
epoch and the outbox's ids go on from how much of time has passed, which neither can have overtaken.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from chassis.postgres import Connection

# Seconds since 2026 fit an integer until 2094. A second restore within a second of the first still counts on.
INSERT_RESTORE = """
insert into restores (epoch)
select greatest(current_epoch() + 1, extract(epoch from now() - timestamptz '2026-01-01T00:00:00Z')::integer)
returning epoch, restored_at"""


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that was noted; what is published from then on has versions (`epoch`, n)."""

    epoch: int
    restored_at: datetime


async def note(conn: Connection) -> Restore:
    """Raise the epoch, in the caller's transaction."""
    row = await conn.fetchrow(INSERT_RESTORE)
    assert row is not None  # noqa: S101 -- an insert without a conflict clause gives its row.
    return Restore(*row)


SELECT_RESTORE = "select epoch, restored_at from restores order by epoch desc limit 1"


async def last(conn: Connection) -> Restore | None:
    """Give the last restore that was noted."""
    row = await conn.fetchrow(SELECT_RESTORE)
    return None if row is None else Restore(*row)


# Microseconds since 2026: no outbox takes a million ids a second, so none is as high as this was at any time before.
RAISE_SEQUENCE = """
select setval(pg_get_serial_sequence('outbox', 'id'), greatest(
    (extract(epoch from now() - timestamptz '2026-01-01T00:00:00Z') * 1000000)::bigint,
    (select coalesce(max(id), 0) + 1 from outbox),
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) + 1))"""


async def raise_sequence(owner_url: str, schema: str) -> int:
    """Let the outbox count on above every id (`ce_sequence`) that the lost time can have used; only the owner may.

    Needs no transaction with the rest: ids that nobody takes cost nothing, and doing it twice does no harm.
    """
    conn = await asyncpg.connect(owner_url, timeout=10, server_settings={"search_path": f"{schema}, pg_temp"})
    try:
        return int(await conn.fetchval(RAISE_SEQUENCE))
    finally:
        await conn.close()


SELECT_RUNNING = """
select application_name from pg_stat_activity
where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
  and application_name like 'samband %' and application_name not like '% command'
group by application_name order by application_name"""


async def running(conn: Connection) -> list[str]:
    """Give the names of this service's roles that hold a connection; commands do not count."""
    return [row[0] for row in await conn.fetch(SELECT_RUNNING)]
