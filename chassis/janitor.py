"""Janitor: small deletes of what the chassis keeps only for a time."""

import structlog

from chassis import dead_letters, idempotency, inbound, inbox, requests, voids
from chassis.loop import Loop
from chassis.postgres import Database

log = structlog.get_logger()

INBOX_DAYS = 21
"""The archive's days, topic retention and a week: what is replayed on the last day may still be read 7 days later (rel-R9)."""
CHUNK = 5_000
FILES = 10
"""Inbound files erased in one transaction: 200 MB at the most."""
EVERY_SECONDS = 60.0


def loop(database: Database) -> Loop:
    """Make the loop that forgets what is over: inbox rows, idempotency keys, requests, files, dead letters with secrets."""

    async def tick() -> int:
        async with database.transaction() as conn:
            pruned = await inbox.prune(conn, days=INBOX_DAYS, limit=CHUNK)
        async with database.transaction() as conn:
            pruned = max(pruned, await idempotency.prune(conn, CHUNK))
        async with database.transaction() as conn:
            pruned = max(pruned, await requests.prune(conn, days=INBOX_DAYS, limit=CHUNK))
        async with database.transaction() as conn:
            pruned = max(pruned, await voids.prune(conn, CHUNK))
        while await _erase_files(database):
            pass
        async with database.transaction() as conn:
            if purged := await dead_letters.purge(conn):
                log.warning("dead_letters_purged", count=purged)
        return pruned // CHUNK

    return Loop("janitor", tick, every=EVERY_SECONDS)


async def _erase_files(database: Database) -> bool:
    """Erase some inbound files; tells whether there may be more."""
    async with database.transaction() as conn:
        return await inbound.prune(conn, FILES) == FILES
