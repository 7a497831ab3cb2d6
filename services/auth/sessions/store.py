"""SQL of sessions and known devices."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.addresses import Address


@dataclass(frozen=True, slots=True)
class Session:
    id: UUID
    account_id: UUID
    address: Address
    language: str
    started_at: datetime
    ends_at: datetime


INSERT_SESSION = """
insert into sessions (token_digest, account_id, ends_at) values ($1, $2, now() + interval '8 hours')"""

TOUCH_SESSION = """
update sessions s set seen_at = now() from accounts a
where s.token_digest = $1 and s.ended_at is null and s.ends_at > now() and s.seen_at > now() - interval '30 minutes'
  and a.id = s.account_id and a.active
returning s.id, s.account_id, a.address, a.language, s.started_at, s.ends_at"""

END_SESSION = "update sessions set ended_at = now() where token_digest = $1 and ended_at is null"


async def insert_session(conn: Connection, token_digest: bytes, account_id: UUID) -> None:
    """Start a session of at most 8 hours."""
    await conn.execute(INSERT_SESSION, token_digest, account_id)


async def touch_session(conn: Connection, token_digest: bytes) -> Session | None:
    """Find a session that was used in the last 30 minutes, and note that it is used."""
    row = await conn.fetchrow(TOUCH_SESSION, token_digest)
    return None if row is None else Session(*row)


async def end_session(conn: Connection, token_digest: bytes) -> None:
    await conn.execute(END_SESSION, token_digest)


UPSERT_KNOWN_DEVICE = """
insert into known_devices (account_id, browser_digest) values ($1, $2)
on conflict on constraint known_devices_pk do update set seen_at = now()"""


async def note_device(conn: Connection, account_id: UUID, browser_digest: bytes) -> None:
    """Note a browser as one that the account knows."""
    await conn.execute(UPSERT_KNOWN_DEVICE, account_id, browser_digest)


END_ALL_SESSIONS = "update sessions set ended_at = now() where ended_at is null and ends_at > now()"


async def end_all(conn: Connection) -> int:
    """End every session that is open; gives how many."""
    return int((await conn.execute(END_ALL_SESSIONS)).rpartition(" ")[2])


PRUNE_SESSIONS = """
delete from sessions where id in (select id from sessions where ends_at < now() - interval '1 day' limit $1)"""


async def prune(conn: Connection, limit: int) -> int:
    """Delete sessions that are a day past their end; gives how many."""
    return int((await conn.execute(PRUNE_SESSIONS, limit)).rpartition(" ")[2])
