"""SQL of one-time codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection
from services.auth.codes.purposes import Purpose
from services.auth.people.user_names import Login


@dataclass(frozen=True, slots=True)
class Challenge:
    id: UUID
    login: Login
    """What was typed: an address, or a user name where instructions for a password are wanted."""
    reference: str
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """A challenge to be settled."""

    id: UUID
    purpose: Purpose
    login: Login
    reference: str
    browser_digest: bytes
    source_digest: bytes
    source_limit: int
    expires_at: datetime
    asked_at: datetime
    alive: bool
    traceparent: str | None
    language: str | None
    """Of whoever may have no account: what a code to link with is mailed in."""


INSERT_CHALLENGE = """
insert into challenges (address, address_digest, browser_digest, source_digest, source_limit, reference, expires_at, traceparent,
    purpose, proof_id, language, settled_at)
values ($1, $2, $3, $4, $5, $6, now() + make_interval(mins => $7), $8, $9, $10, $11, (
    select case when count(*) >= $5::integer then now() end from (
        select from challenges where source_digest = $4 and asked_at > now() - interval '1 hour' limit $5::integer) as asked))
returning id, address, reference, asked_at, expires_at"""


async def insert_challenge(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    login: Login,
    *,
    purpose: Purpose,
    login_digest: bytes,
    browser_digest: bytes,
    source_digest: bytes,
    source_limit: int,
    reference: str,
    minutes: int,
    traceparent: str | None,
    proof_id: UUID | None = None,
    language: str | None = None,
) -> Challenge:
    """Note an ask; one beyond its source's limit is settled at once, without a code, so that a flood keeps nobody waiting."""
    row = await conn.fetchrow(
        INSERT_CHALLENGE,
        login,
        login_digest,
        browser_digest,
        source_digest,
        source_limit,
        reference,
        minutes,
        traceparent,
        purpose,
        proof_id,
        language,
    )
    assert row is not None  # noqa: S101 -- an insert without a conflict clause gives its row.
    return Challenge(*row)


SELECT_LIVE_CHALLENGES = """
select id, address, reference, asked_at, expires_at from challenges
where browser_digest = $1 and purpose = $2 and expires_at > now() and used_at is null order by asked_at desc limit 20"""


async def find_live_challenges(conn: Connection, browser_digest: bytes, purpose: Purpose) -> list[Challenge]:
    """Give what this browser asked for and may still redeem, newest first, codes issued or not."""
    return [Challenge(*row) for row in await conn.fetch(SELECT_LIVE_CHALLENGES, browser_digest, purpose)]


CLAIM_ASK = """
select id, purpose, address, reference, browser_digest, source_digest, source_limit, expires_at, asked_at,
    expires_at > now() and used_at is null as alive, traceparent, language
from challenges where settled_at is null order by asked_at for update skip locked limit 1"""


async def claim_ask(conn: Connection) -> Ask | None:
    """Take the oldest challenge that nobody has settled."""
    row = await conn.fetchrow(CLAIM_ASK)
    return None if row is None else Ask(row[0], Purpose(row[1]), *row[2:])


SETTLE_ASK = "update challenges set settled_at = now(), account_id = $2, code_digest = $3 where id = $1"


async def settle_ask(conn: Connection, challenge_id: UUID, account_id: UUID | None, code_digest: bytes | None) -> None:
    """Note that a challenge is dealt with: with a code or a link for an account, with a reminder (no digest), or without."""
    await conn.execute(SETTLE_ASK, challenge_id, account_id, code_digest)


COUNT_ISSUED = """
select count(*) from challenges
where account_id = $1 and settled_at > now() - interval '15 minutes'
  and (browser_digest = $2 or not exists (select from known_devices where account_id = $1 and browser_digest = $2))"""


async def count_issued(conn: Connection, account_id: UUID, browser_digest: bytes) -> int:
    """Count what was mailed to an account in 15 minutes; for a browser that the account knows, only what was asked for there."""
    return int(await conn.fetchval(COUNT_ISSUED, account_id, browser_digest))


COUNT_FROM_SOURCE = """
select count(*) from (
    select from challenges where source_digest = $1 and asked_at > $2::timestamptz - interval '1 hour' and asked_at <= $2
    limit $3) as asked"""


async def count_from_source(conn: Connection, ask: Ask) -> int:
    """Count what was asked for from one network address in the hour before an ask, itself included, up to its limit + 1."""
    return int(await conn.fetchval(COUNT_FROM_SOURCE, ask.source_digest, ask.asked_at, ask.source_limit + 1))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose tries are counted: what was typed, the account that has it, and whether that one knows the browser."""

    login: Login
    login_digest: bytes
    account_id: UUID | None
    known_device: bool


SELECT_SUBJECT = """
select c.address, c.address_digest, a.id, exists (
    select from known_devices d where d.account_id = a.id and d.browser_digest = c.browser_digest)
from challenges c left join accounts a on a.address = c.address
where c.id = $1 and c.browser_digest = $2 and c.purpose = $3"""


async def find_subject(conn: Connection, challenge_id: UUID, browser_digest: bytes, purpose: Purpose) -> Subject | None:
    """Find whose tries are counted; None for a challenge of another browser or for another purpose."""
    row = await conn.fetchrow(SELECT_SUBJECT, challenge_id, browser_digest, purpose)
    return None if row is None else Subject(*row)


SELECT_LOGIN = "select address from challenges where id = $1 and browser_digest = $2 and purpose = $3"


async def find_login(conn: Connection, challenge_id: UUID, browser_digest: bytes, purpose: Purpose) -> Login | None:
    """Find what was typed; None as above."""
    login: Login | None = await conn.fetchval(SELECT_LOGIN, challenge_id, browser_digest, purpose)
    return login


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
where browser_digest = $1 and address_digest = $2 and purpose = $3 and expires_at > now() and used_at is null
returning id, tries"""


async def count_tries(
    conn: Connection, browser_digest: bytes, login_digest: bytes, purpose: Purpose
) -> dict[UUID, int]:
    """Count a try against every live challenge of this browser, address and purpose; gives the tries of each, this included."""
    return {row[0]: row[1] for row in await conn.fetch(COUNT_TRIES, browser_digest, login_digest, purpose)}


SELECT_RIGHT_CODE = """
select true from unnest($1::uuid[], $2::bytea[]) as tried (id, digest) join challenges c on c.id = tried.id
where c.code_digest = tried.digest and c.used_at is null and c.expires_at > now() limit 1"""


async def is_right_code(conn: Connection, challenges: Sequence[UUID], digests: Sequence[bytes]) -> bool:
    """Tell whether a code is good just now, without using it up."""
    return bool(await conn.fetchval(SELECT_RIGHT_CODE, challenges, digests))


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


COUNT_LINKS_TO = """
select count(*) from challenges
where address_digest = $1 and purpose = 'link' and settled_at > now() - interval '15 minutes' and code_digest is not null"""


async def count_links_to(conn: Connection, login_digest: bytes) -> int:
    """Count the codes to link with that were mailed to an address in 15 minutes, whoever has it."""
    return int(await conn.fetchval(COUNT_LINKS_TO, login_digest))


USE_LINK_CODE = """
update challenges c set used_at = now() from unnest($1::uuid[], $2::bytea[]) as tried (id, digest)
where c.id = tried.id and c.proof_id = $3 and c.code_digest = tried.digest
  and c.used_at is null and c.expires_at > now()
returning c.address"""


async def use_link_code(
    conn: Connection, challenges: Sequence[UUID], digests: Sequence[bytes], proof_id: UUID
) -> Login | None:
    """Use a code up that links this proof, once; gives the address that it was mailed to, or None for one that is no good."""
    address: Login | None = await conn.fetchval(USE_LINK_CODE, challenges, digests, proof_id)
    return address


FIND_LINK = """
select account_id from challenges
where code_digest = $1 and purpose = 'password_instructions' and used_at is null and expires_at > now()"""


async def find_link(conn: Connection, token_digest: bytes) -> UUID | None:
    """Find whose link has a token that is good just now, without using it up."""
    account_id: UUID | None = await conn.fetchval(FIND_LINK, token_digest)
    return account_id


USE_LINK = """
update challenges c set used_at = now() from accounts a
where c.code_digest = $1 and c.purpose = 'password_instructions' and c.used_at is null and c.expires_at > now()
  and a.id = c.account_id and a.active
returning c.account_id"""


async def use_link(conn: Connection, token_digest: bytes) -> UUID | None:
    """Use a link up, once, whoever brings it at the same time; gives its account, or None for one that is no good."""
    account_id: UUID | None = await conn.fetchval(USE_LINK, token_digest)
    return account_id


END_CHALLENGES = """
update challenges set used_at = now()
where browser_digest = $1 and address_digest = $2 and (purpose = $3 or $4) and used_at is null"""

NOTE_SUCCESS = "update code_attempts set succeeded = true where id = $1"


async def note_success(
    conn: Connection, *, attempt_id: int, browser_digest: bytes, login_digest: bytes, purpose: Purpose
) -> None:
    """Note a try as right, and the other codes of this browser, address and purpose as used up; all, when it sets a password."""
    await conn.execute(NOTE_SUCCESS, attempt_id)
    await conn.execute(END_CHALLENGES, browser_digest, login_digest, purpose, purpose.sets_password)


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
