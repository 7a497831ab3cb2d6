"""SQL of one-time codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.addresses import Address


@dataclass(frozen=True, slots=True)
class Challenge:
    id: UUID
    address: Address
    reference: str
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """A challenge to be settled."""

    id: UUID
    address: Address
    reference: str
    browser_digest: bytes
    source_digest: bytes
    source_limit: int
    expires_at: datetime
    asked_at: datetime
    alive: bool
    traceparent: str | None


INSERT_CHALLENGE = """
insert into challenges (address, address_digest, browser_digest, source_digest, source_limit, reference, expires_at, traceparent,
    settled_at)
values ($1, $2, $3, $4, $5, $6, now() + make_interval(mins => $7), $8, (
    select case when count(*) >= $5::integer then now() end from (
        select from challenges where source_digest = $4 and asked_at > now() - interval '1 hour' limit $5::integer) as asked))
returning id, address, reference, asked_at, expires_at"""


async def insert_challenge(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    address: Address,
    *,
    address_digest: bytes,
    browser_digest: bytes,
    source_digest: bytes,
    source_limit: int,
    reference: str,
    minutes: int,
    traceparent: str | None,
) -> Challenge:
    """Note an ask; one beyond its source's limit is settled at once, without a code, so that a flood keeps nobody waiting."""
    row = await conn.fetchrow(
        INSERT_CHALLENGE,
        address,
        address_digest,
        browser_digest,
        source_digest,
        source_limit,
        reference,
        minutes,
        traceparent,
    )
    assert row is not None  # noqa: S101 -- an insert without a conflict clause gives its row.
    return Challenge(*row)


SELECT_LIVE_CHALLENGES = """
select id, address, reference, asked_at, expires_at from challenges
where browser_digest = $1 and expires_at > now() and used_at is null order by asked_at desc limit 20"""


async def find_live_challenges(conn: Connection, browser_digest: bytes) -> list[Challenge]:
    """Give what this browser asked for and may still redeem, newest first, codes issued or not."""
    return [Challenge(*row) for row in await conn.fetch(SELECT_LIVE_CHALLENGES, browser_digest)]


CLAIM_ASK = """
select id, address, reference, browser_digest, source_digest, source_limit, expires_at, asked_at,
    expires_at > now() and used_at is null as alive, traceparent
from challenges where settled_at is null order by asked_at for update skip locked limit 1"""


async def claim_ask(conn: Connection) -> Ask | None:
    """Take the oldest challenge that nobody has settled."""
    row = await conn.fetchrow(CLAIM_ASK)
    return None if row is None else Ask(*row)


SETTLE_ASK = "update challenges set settled_at = now(), account_id = $2, code_digest = $3 where id = $1"


async def settle_ask(conn: Connection, challenge_id: UUID, account_id: UUID | None, code_digest: bytes | None) -> None:
    """Note that a challenge is dealt with: with a code for an account, or without."""
    await conn.execute(SETTLE_ASK, challenge_id, account_id, code_digest)


COUNT_ISSUED = """
select count(*) from challenges
where account_id = $1 and settled_at > now() - interval '15 minutes' and code_digest is not null
  and (browser_digest = $2 or not exists (select from known_devices where account_id = $1 and browser_digest = $2))"""


async def count_issued(conn: Connection, account_id: UUID, browser_digest: bytes) -> int:
    """Count the codes issued to an account in 15 minutes; for a browser that the account knows, only those asked for there."""
    return int(await conn.fetchval(COUNT_ISSUED, account_id, browser_digest))


COUNT_FROM_SOURCE = """
select count(*) from (
    select from challenges where source_digest = $1 and asked_at > $2::timestamptz - interval '1 hour' and asked_at <= $2
    limit $3) as asked"""


async def count_from_source(conn: Connection, ask: Ask) -> int:
    """Count what was asked for from one network address in the hour before an ask, itself included, up to its limit + 1."""
    return int(await conn.fetchval(COUNT_FROM_SOURCE, ask.source_digest, ask.asked_at, ask.source_limit + 1))


SELECT_SUBJECT = """
select c.address, c.address_digest, exists (
    select from accounts a join known_devices d on d.account_id = a.id
    where a.address = c.address and d.browser_digest = c.browser_digest) as known_device
from challenges c where c.id = $1 and c.browser_digest = $2"""


async def find_subject(
    conn: Connection, challenge_id: UUID, browser_digest: bytes
) -> tuple[Address, bytes, bool] | None:
    """Find whose tries are counted: address, its digest, and whether this browser is one the account knows."""
    row = await conn.fetchrow(SELECT_SUBJECT, challenge_id, browser_digest)
    return None if row is None else (row[0], row[1], row[2])


LOCK_SUBJECT = "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))"


async def lock_subject(conn: Connection, subject: bytes) -> None:
    """Keep others from counting or judging a subject's tries until the transaction ends."""
    await conn.execute(LOCK_SUBJECT, subject)


COUNT_ATTEMPTS = """
select count(*) filter (where tried_at > now() - interval '15 minutes'), count(*) filter (where not succeeded)
from code_attempts where subject = $1 and tried_at > now() - interval '1 day'"""


async def count_attempts(conn: Connection, subject: bytes) -> tuple[int, int]:
    """Count a subject's tries of 15 minutes and failures of a day; the caller has locked it."""
    row = await conn.fetchrow(COUNT_ATTEMPTS, subject)
    assert row is not None  # noqa: S101 -- an aggregate always gives a row.
    return row[0], row[1]


INSERT_ATTEMPT = "insert into code_attempts (subject, challenge_id) values ($1, $2) returning id"


async def insert_attempt(conn: Connection, subject: bytes, challenge_id: UUID) -> int:
    return int(await conn.fetchval(INSERT_ATTEMPT, subject, challenge_id))


COUNT_TRIES = """
update challenges set tries = tries + 1
where browser_digest = $1 and address_digest = $2 and expires_at > now() and used_at is null
returning id, tries"""


async def count_tries(conn: Connection, browser_digest: bytes, address_digest: bytes) -> dict[UUID, int]:
    """Count a try against every live challenge of this browser and address; gives the tries of each, this one included."""
    return {row[0]: row[1] for row in await conn.fetch(COUNT_TRIES, browser_digest, address_digest)}


USE_CODE = """
update challenges c set used_at = now()
from unnest($1::uuid[], $2::bytea[]) as tried (id, digest), accounts a
where c.id = tried.id and c.code_digest = tried.digest and c.used_at is null and c.expires_at > now()
  and a.id = c.account_id and a.active
returning c.account_id"""


async def use_code(conn: Connection, challenges: Sequence[UUID], digests: Sequence[bytes]) -> UUID | None:
    """Use a code up, once, whoever tries at the same time; gives its account, or None for a code that is no good."""
    row = await conn.fetchrow(USE_CODE, challenges, digests)
    return None if row is None else row[0]


END_CHALLENGES = """
update challenges set used_at = now() where browser_digest = $1 and address_digest = $2 and used_at is null"""

NOTE_SUCCESS = "update code_attempts set succeeded = true where id = $1"


async def note_success(conn: Connection, *, attempt_id: int, browser_digest: bytes, address_digest: bytes) -> None:
    """Note a try as right, and the other codes of this browser and address as used up."""
    await conn.execute(NOTE_SUCCESS, attempt_id)
    await conn.execute(END_CHALLENGES, browser_digest, address_digest)


END_ALL_CHALLENGES = "update challenges set used_at = now() where used_at is null and expires_at > now()"


async def end_all(conn: Connection) -> int:
    """End every code that is open; gives how many."""
    return int((await conn.execute(END_ALL_CHALLENGES)).rpartition(" ")[2])


PRUNE_CHALLENGES = """
delete from challenges where id in (select id from challenges where asked_at < now() - interval '1 day' limit $1)"""

PRUNE_ATTEMPTS = """
delete from code_attempts where id in (select id from code_attempts where tried_at < now() - interval '1 day' limit $1)"""


async def prune(conn: Connection, limit: int) -> int:
    """Delete challenges and attempts that are a day past their use; gives the most of one kind."""
    counts = [await conn.execute(sql, limit) for sql in (PRUNE_CHALLENGES, PRUNE_ATTEMPTS)]
    return max(int(count.rpartition(" ")[2]) for count in counts)
