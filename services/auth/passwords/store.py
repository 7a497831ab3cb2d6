"""SQL of passwords, and of the blocks that follow wrong ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.user_names import Login


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who may be logging in: nobody at all, or an account, its hash if it has one and may use it, and its device."""

    account_id: UUID | None = None
    kept: str | None = None
    known_device: bool = False


LOCK_SOURCE = "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 1))"

INSERT_ATTEMPT = """
insert into password_attempts (source_digest) select $1 where (select count(*) from (
    select from password_attempts where source_digest = $1 and not succeeded and tried_at > now() - interval '1 hour'
    limit $2::integer) as failed) < $2::integer
returning id"""


async def insert_attempt(conn: Connection, source_digest: bytes, most: int) -> int | None:
    """Count a password against the network address that it came from; None when so many failed in an hour already."""
    await conn.execute(LOCK_SOURCE, source_digest)
    attempt_id: int | None = await conn.fetchval(INSERT_ATTEMPT, source_digest, most)
    return attempt_id


NOTE_SUCCESS = "update password_attempts set succeeded = true where id = $1"


async def note_success(conn: Connection, attempt_id: int) -> None:
    await conn.execute(NOTE_SUCCESS, attempt_id)


SELECT_CANDIDATE = """
select a.id, case when a.active then p.hash end, d.account_id is not null
from accounts a left join passwords p on p.account_id = a.id
left join known_devices d on d.account_id = a.id and d.browser_digest = $2
where a.address = $1 or a.user_name_key = $1"""


async def find_candidate(conn: Connection, login: Login, browser_digest: bytes) -> Candidate:
    """Find who logs in with an address or a user name; nobody is a candidate too."""
    row = await conn.fetchrow(SELECT_CANDIDATE, login, browser_digest)
    return Candidate() if row is None else Candidate(*row)


SELECT_CANDIDATE_BY_ID = """
select a.id, case when a.active then p.hash end, d.account_id is not null
from accounts a left join passwords p on p.account_id = a.id
left join known_devices d on d.account_id = a.id and d.browser_digest = $2
where a.id = $1"""


async def find_candidate_by_id(conn: Connection, account_id: UUID, browser_digest: bytes) -> Candidate:
    row = await conn.fetchrow(SELECT_CANDIDATE_BY_ID, account_id, browser_digest)
    return Candidate() if row is None else Candidate(*row)


# One statement counts and says whether the password may be compared: whoever comes at once waits for this row.
COUNT_GUESS = """
insert into blocks as b (subject, account_id, failures, blocked_until)
values ($1, $2, 1, case when $3::integer <= 1 then now() + make_interval(mins => $4) end)
on conflict on constraint blocks_pk do update set
    failures = case when b.blocked_until is null then b.failures else 0 end + 1,
    blocked_until = case when case when b.blocked_until is null then b.failures else 0 end + 1 >= $3::integer
        then now() + make_interval(mins => $4) end,
    told_at = null, changed_at = now()
where b.blocked_until is null or b.blocked_until <= now()
returning true"""


async def count_guess(conn: Connection, subject: bytes, account_id: UUID | None, *, tries: int, minutes: int) -> bool:
    """Count a password as wrong until it turns out right, and block with the last of so many; False while blocked."""
    return bool(await conn.fetchval(COUNT_GUESS, subject, account_id, tries, minutes))


DELETE_BLOCK = "delete from blocks where subject = $1"


async def delete_block(conn: Connection, subject: bytes) -> None:
    """Forget the wrong passwords of a subject (L10)."""
    await conn.execute(DELETE_BLOCK, subject)


DELETE_BLOCKS_OF_ACCOUNT = "delete from blocks where account_id = $1 returning blocked_until > now()"


async def delete_blocks_of_account(conn: Connection, account_id: UUID) -> int:
    """Forget all wrong passwords of an account, on whatever device; gives how many blocks were in force."""
    return sum(bool(row[0]) for row in await conn.fetch(DELETE_BLOCKS_OF_ACCOUNT, account_id))


SELECT_KNOWN_DEVICE = "select exists (select from known_devices where account_id = $1 and browser_digest = $2)"


async def is_known_device(conn: Connection, account_id: UUID, browser_digest: bytes) -> bool:
    return bool(await conn.fetchval(SELECT_KNOWN_DEVICE, account_id, browser_digest))


SELECT_BLOCKED = "select exists (select from blocks where subject = $1 and blocked_until > now())"


async def is_blocked(conn: Connection, subject: bytes) -> bool:
    return bool(await conn.fetchval(SELECT_BLOCKED, subject))


@dataclass(frozen=True, slots=True)
class Block:
    account_id: UUID
    until: datetime


# The last of the passwords may still turn out right: nobody is told before it must have been compared.
CLAIM_BLOCK = """
with due as (
    select subject from blocks where blocked_until > now() and told_at is null and account_id is not null
      and changed_at < now() - interval '10 seconds'
    order by blocked_until for update skip locked limit 1
)
update blocks b set told_at = now() from due where b.subject = due.subject returning b.account_id, b.blocked_until"""


async def claim_block(conn: Connection) -> Block | None:
    """Take a block that its person has not been told of, and note it as dealt with."""
    row = await conn.fetchrow(CLAIM_BLOCK)
    return None if row is None else Block(*row)


INSERT_NOTICE = """
insert into block_notices (account_id) select $1 where (
    select count(*) from block_notices where account_id = $1 and owed_at > now() - interval '1 day') < $2
returning true"""


async def insert_notice(conn: Connection, account_id: UUID, *, most: int) -> bool:
    """Note that a mail about a block is owed, unless so many were in a day; the caller has locked the account."""
    return bool(await conn.fetchval(INSERT_NOTICE, account_id, most))


SELECT_BLOCKS = """
select account_id, max(blocked_until) from blocks where account_id is not null and blocked_until > now()
group by account_id order by max(blocked_until), account_id limit $1"""


async def find_blocks(conn: Connection, limit: int) -> list[Block]:
    """Give the accounts that are blocked on some device, those first whose block ends first."""
    return [Block(*row) for row in await conn.fetch(SELECT_BLOCKS, limit)]


CONFIRM_HASH = """
update passwords p set hash = $3 from accounts a
where p.account_id = $1 and p.hash = $2 and a.id = p.account_id and a.active returning true"""


async def confirm_password(conn: Connection, account_id: UUID, compared: str, renewed: str) -> bool:
    """Keep the renewed hash, if the one that was compared is still the account's and it may log in; False otherwise."""
    return bool(await conn.fetchval(CONFIRM_HASH, account_id, compared, renewed))


UPSERT_HASH = """
insert into passwords (account_id, hash) select id, $2 from accounts where id = $1 and active
on conflict on constraint passwords_pk do update set hash = excluded.hash, changed_at = now()
returning changed_at"""


async def replace_password(conn: Connection, account_id: UUID, kept: str) -> datetime | None:
    """Set an account's password. None for one that may not log in."""
    changed_at: datetime | None = await conn.fetchval(UPSERT_HASH, account_id, kept)
    return changed_at


DELETE_HASH = "delete from passwords where account_id = $1"


async def delete_password(conn: Connection, account_id: UUID) -> bool:
    """Take an account's password away; False where it has none."""
    return await conn.execute(DELETE_HASH, account_id) == "DELETE 1"


SELECT_WORDS = """
select a.address, a.user_name, a.full_name, o.name
from accounts a left join organisations o on o.id = a.organisation_id where a.id = $1"""


async def find_words(conn: Connection, account_id: UUID) -> Sequence[str]:
    """Give what others know of an account's person: address, names, and the name of the home organisation."""
    row = await conn.fetchrow(SELECT_WORDS, account_id)
    return [] if row is None else [word for word in row if word is not None]


PRUNE_ATTEMPTS = """
delete from password_attempts where id in (
    select id from password_attempts where tried_at < now() - interval '1 day' order by tried_at limit $1)"""

PRUNE_BLOCKS = """
delete from blocks where subject in (
    select subject from blocks where changed_at < now() - interval '1 day' order by changed_at limit $1)"""

PRUNE_NOTICES = """
delete from block_notices where ctid in (
    select ctid from block_notices where owed_at < now() - interval '1 day' limit $1)"""


async def prune(conn: Connection, limit: int) -> int:
    """Delete what is a day old; gives the most of one kind."""
    counts = [await conn.execute(sql, limit) for sql in (PRUNE_ATTEMPTS, PRUNE_BLOCKS, PRUNE_NOTICES)]
    return max(int(count.rpartition(" ")[2]) for count in counts)
