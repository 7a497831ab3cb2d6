"""SQL of sessions, of the refresh tokens bound to them, and of known devices."""

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
    seen_at: datetime
    """When it was used last: now, for one that was just found."""
    ends_at: datetime
    organisation_id: UUID | None
    assurance: str
    method: str
    epoch: int
    """The account's security epoch: tokens with a lower one are void."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as its person sees it in a list."""

    id: UUID
    started_at: datetime
    seen_at: datetime
    ends_at: datetime
    organisation_id: UUID | None
    assurance: str
    method: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that is over, and since when."""

    id: UUID
    account_id: UUID
    ended_at: datetime


INSERT_SESSION = """
insert into sessions (token_digest, account_id, method, assurance, organisation_id, ends_at)
values ($1, $2, $3, $4, $5, now() + interval '8 hours')"""


async def insert_session(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    token_digest: bytes,
    account_id: UUID,
    *,
    method: str,
    assurance: str,
    organisation_id: UUID | None,
) -> None:
    """Start a session of at most 8 hours."""
    await conn.execute(INSERT_SESSION, token_digest, account_id, method, assurance, organisation_id)


TOUCH_SESSION = """
update sessions s set seen_at = now() from accounts a
where s.token_digest = $1 and s.ended_at is null and s.ends_at > now() and s.seen_at > now() - interval '30 minutes'
  and a.id = s.account_id and a.active
returning s.id, s.account_id, a.address, a.language, s.started_at, s.seen_at, s.ends_at, s.organisation_id, s.assurance,
    s.method, current_epoch()::bigint << 32 | a.security_epoch"""


async def touch_session(conn: Connection, token_digest: bytes) -> Session | None:
    """Find a session that was used in the last 30 minutes, and note that it is used."""
    row = await conn.fetchrow(TOUCH_SESSION, token_digest)
    return None if row is None else Session(*row)


TOUCH_SESSION_BY_ID = """
update sessions s set seen_at = now() from accounts a
where s.id = $1 and s.ended_at is null and s.ends_at > now() and s.seen_at > now() - interval '30 minutes'
  and a.id = s.account_id and a.active
returning s.id, s.account_id, a.address, a.language, s.started_at, s.seen_at, s.ends_at, s.organisation_id, s.assurance,
    s.method, current_epoch()::bigint << 32 | a.security_epoch"""


async def touch_session_by_id(conn: Connection, session_id: UUID) -> Session | None:
    """Find a session as above, for whoever has proven by something else to be in it."""
    row = await conn.fetchrow(TOUCH_SESSION_BY_ID, session_id)
    return None if row is None else Session(*row)


SELECT_OPEN_SESSIONS = """
select id, started_at, seen_at, ends_at, organisation_id, assurance, method from sessions
where account_id = $1 and ended_at is null and ends_at > now() and seen_at > now() - interval '30 minutes'
order by seen_at desc, id limit 100"""


async def find_open_sessions(conn: Connection, account_id: UUID) -> list[OpenSession]:
    """Give the sessions of an account that are not over, the one used last first."""
    return [OpenSession(*row) for row in await conn.fetch(SELECT_OPEN_SESSIONS, account_id)]


CHOOSE_ORGANISATION = "update sessions set organisation_id = $2 where id = $1 and ended_at is null"


async def choose_organisation(conn: Connection, session_id: UUID, organisation_id: UUID) -> None:
    await conn.execute(CHOOSE_ORGANISATION, session_id, organisation_id)


END_SESSION = """
update sessions set ended_at = now() where token_digest = $1 and ended_at is null and ends_at > now()
returning id, account_id, ended_at"""


async def end_session(conn: Connection, token_digest: bytes) -> Ended | None:
    """End the session of a token; None for one that is over, or never was."""
    row = await conn.fetchrow(END_SESSION, token_digest)
    return None if row is None else Ended(*row)


END_SESSION_BY_ID = """
update sessions set ended_at = now() where id = $1 and account_id = $2 and ended_at is null and ends_at > now()
returning id, account_id, ended_at"""


async def end_session_by_id(conn: Connection, session_id: UUID, account_id: UUID) -> Ended | None:
    """End a session of this account; None for another's, and for one that is over or never was."""
    row = await conn.fetchrow(END_SESSION_BY_ID, session_id, account_id)
    return None if row is None else Ended(*row)


END_SESSION_ALONE = """
update sessions set ended_at = now() where id = $1 and ended_at is null and ends_at > now()
returning id, account_id, ended_at"""


async def end_session_alone(conn: Connection, session_id: UUID) -> Ended | None:
    """End a session whosever it is, for what has shown that it must end; None for one that is over."""
    row = await conn.fetchrow(END_SESSION_ALONE, session_id)
    return None if row is None else Ended(*row)


# In one order: two tabs that end the same sessions would deadlock.
END_OTHER_SESSIONS = """
update sessions set ended_at = now() where id in (
    select id from sessions where account_id = $1 and id <> $2 and ended_at is null and ends_at > now()
    order by id for update)
returning id, account_id, ended_at"""


async def end_other_sessions(conn: Connection, account_id: UUID, except_session: UUID) -> list[Ended]:
    """End every session of an account but one."""
    return [Ended(*row) for row in await conn.fetch(END_OTHER_SESSIONS, account_id, except_session)]


UPSERT_KNOWN_DEVICE = """
insert into known_devices (account_id, browser_digest) values ($1, $2)
on conflict on constraint known_devices_pk do update set seen_at = now()"""


async def note_device(conn: Connection, account_id: UUID, browser_digest: bytes) -> None:
    """Note a browser as one that the account knows."""
    await conn.execute(UPSERT_KNOWN_DEVICE, account_id, browser_digest)


INSERT_FAMILY = """
insert into refresh_families (session_id)
select $1 where (select count(*) from refresh_families where session_id = $1) < $2 returning id"""


async def insert_family(conn: Connection, session_id: UUID, *, most: int) -> UUID | None:
    """Begin a chain of refresh tokens whose first has the number 1; None where the locked session has had so many."""
    family_id: UUID | None = await conn.fetchval(INSERT_FAMILY, session_id, most)
    return family_id


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of a family when one of its tokens was presented."""

    session_id: UUID
    successor: int
    """The number of the token to go on with."""
    ended: bool
    """The token was one that had been followed by another: somebody has a copy."""


# Two tabs go on from one token, each at its own pace: for 10 s one that was followed is answered with its successor again.
ROTATE_FAMILY = """
update refresh_families set
    latest = greatest(latest, $2 + 1),
    rotated_at = case when latest = $2 then rotated_at[greatest(1, cardinality(rotated_at) - 8):] || now() else rotated_at end,
    ended_at = case when latest = $2
        or rotated_at[cardinality(rotated_at) - (latest - 1 - $2)] > now() - interval '10 seconds' then null else now() end
where id = $1 and ended_at is null and latest >= $2
returning session_id, $2 + 1, ended_at is not null"""


async def rotate_family(conn: Connection, family_id: UUID, number: int) -> Rotation | None:
    """Take the token of this number for its successor, or end the family whose token was presented late.

    None for a family that is over or never was, and for a number that was never given.
    """
    row = await conn.fetchrow(ROTATE_FAMILY, family_id, number)
    return None if row is None else Rotation(*row)


INSERT_ASSERTION = """
insert into client_assertions (system, token_id, expires_at)
select $1, $2, to_timestamp($3::bigint)
where to_timestamp($3::bigint) > now() and to_timestamp($3::bigint) <= now() + make_interval(secs => $4::float8 + $6::float8)
  and to_timestamp($5::bigint) <= now() + make_interval(secs => $6::float8)
on conflict on constraint client_assertions_once do nothing
returning true"""


async def insert_assertion(  # noqa: PLR0913 -- what a proof says of itself, and what is allowed.
    conn: Connection, system: str, token_id: str, *, expires: int, not_before: int, within_seconds: float, skew: float
) -> bool:
    """Take a system's proof, once, if it is good now and expires within so many seconds; False where it is not taken.

    The system's clock may be ahead by `skew` seconds.
    """
    values = (system, token_id, expires, within_seconds, not_before, skew)
    return bool(await conn.fetchval(INSERT_ASSERTION, *values))


@dataclass(frozen=True, slots=True)
class EndedOfAccount:
    """How many sessions of an account have ended, and below which epoch its tokens are void."""

    account_id: UUID
    count: int
    ended_at: datetime
    below_epoch: int


# What is void is said of accounts: of sessions that only a lost time knew there is no row here.
END_ALL_SESSIONS = """
with ended as (
    update sessions set ended_at = now() where ended_at is null and ends_at > now() returning account_id
)
select account_id, count(*), now(), current_epoch()::bigint << 32 from ended group by account_id order by account_id"""


async def end_all(conn: Connection) -> list[EndedOfAccount]:
    """End every session that is open, once the service's epoch has been raised."""
    return [EndedOfAccount(*row) for row in await conn.fetch(END_ALL_SESSIONS)]


SELECT_NOW = "select now()"


async def now(conn: Connection) -> datetime:
    """Give the time by the database's clock."""
    moment: datetime = await conn.fetchval(SELECT_NOW)
    return moment


PRUNE_SESSIONS = """
delete from sessions where id in (
    select id from sessions where ends_at < now() - interval '1 day' order by ends_at limit $1)"""

# A transaction that began before a proof expired, and comes to it after that, must still find it taken.
PRUNE_ASSERTIONS = """
delete from client_assertions where ctid in (
    select ctid from client_assertions where expires_at < now() - interval '5 minutes' order by expires_at limit $1)"""

# The cookie by which a browser is known lives as long.
PRUNE_DEVICES = """
delete from known_devices where (account_id, browser_digest) in (
    select account_id, browser_digest from known_devices where seen_at < now() - interval '180 days'
    order by seen_at limit $1) and seen_at < now() - interval '180 days'"""


async def prune(conn: Connection, limit: int) -> int:
    """Delete sessions a day past their end, expired proofs, and devices of half a year ago; gives the most of one kind."""
    counts = [await conn.execute(sql, limit) for sql in (PRUNE_SESSIONS, PRUNE_ASSERTIONS, PRUNE_DEVICES)]
    return max(int(count.rpartition(" ")[2]) for count in counts)
