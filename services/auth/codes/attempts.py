"""Attempts: codes are counted before they are judged, and used once, in the browser that asked (sec-A2, sec-A3)."""

from dataclasses import dataclass
from uuid import UUID

from chassis.failpoints import reach
from chassis.postgres import Connection
from services.auth.codes import challenges, store
from services.auth.codes.errors import TooManyTries, WrongCode
from services.auth.codes.purposes import Purpose
from services.auth.codes.store import Subject
from services.auth.keys import Keys
from services.auth.limits import Limits
from services.auth.passwords import blocks
from services.auth.passwords import store as passwords
from services.auth.passwords.store import Candidate
from services.auth.people.addresses import Address

WAIT_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that has been counted and may now be judged, against the challenges that had tries left."""

    id: int
    purpose: Purpose
    subject: bytes
    blocked_as: bytes
    """The subject of the block that the code must not get past."""
    challenges: tuple[UUID, ...]
    browser_digest: bytes
    login_digest: bytes
    account_id: UUID | None
    """Who has the address now."""


async def count(  # noqa: PLR0913 -- which code, where, within which limits.
    conn: Connection, challenge_id: UUID, purpose: Purpose, *, browser: str, limits: Limits, keys: Keys
) -> Attempt:
    """Count a try, to be committed before the code is judged: or guessing would be free (sec-A2, sec-A3).

    A try counts against the typed address, known or not, or against this browser alone where the account knows it, and
    against every live challenge of this browser, address and purpose: each of their codes counts (G5). Raises `WrongCode`
    for a challenge of another browser or purpose, `TooManyTries` beyond the limits; then nothing is counted.
    """
    browser_digest = keys.digest("browser", browser)
    found = await store.find_subject(conn, challenge_id, browser_digest, purpose)
    if found is None:
        raise WrongCode
    subject = keys.digest("device", found.login, browser) if found.known_device else found.login_digest
    await store.lock_subject(conn, subject)
    recent, failures = await store.count_attempts(conn, subject)
    if recent >= limits.tries_per_quarter or failures >= limits.failures_per_day:
        raise TooManyTries(retry_after=WAIT_SECONDS)
    tries = await store.count_tries(conn, browser_digest, found.login_digest, purpose)
    open_to_it = tuple(challenge for challenge, count in tries.items() if count <= limits.tries_per_code)
    if tries and not open_to_it:
        raise TooManyTries(retry_after=WAIT_SECONDS)
    attempt_id = await store.insert_attempt(conn, subject, challenge_id)
    return Attempt(
        attempt_id,
        purpose,
        subject,
        _blocked_as(found, browser_digest, keys),
        open_to_it,
        browser_digest,
        found.login_digest,
        found.account_id,
    )


def _blocked_as(found: Subject, browser_digest: bytes, keys: Keys) -> bytes:
    candidate = Candidate(found.account_id, known_device=found.known_device)
    return blocks.subject_of(keys, candidate, found.login, browser_digest)


async def is_right(conn: Connection, attempt: Attempt, code: str, *, keys: Keys, despite_block: bool = False) -> bool:
    """Tell whether a counted code is good just now, without using it up: before what is dear is done for it."""
    if await passwords.is_blocked(conn, attempt.blocked_as) and not despite_block:
        return False
    return await store.is_right_code(conn, attempt.challenges, _digests(attempt, code, keys))


async def use(conn: Connection, attempt: Attempt, code: str, *, keys: Keys, despite_block: bool = False) -> UUID:
    """Use a code up and give its account; raises `WrongCode` alike for all that is no good (sec-A9), blocked ones too (L9)."""
    await store.lock_subject(
        conn, attempt.subject
    )  # Codes of one browser tried at once would deadlock, or both log in.
    blocked = await passwords.is_blocked(conn, attempt.blocked_as) and not despite_block
    account_id = None if blocked else await store.use_code(conn, attempt.challenges, _digests(attempt, code, keys))
    if account_id is None:
        raise WrongCode
    await store.note_success(
        conn,
        attempt_id=attempt.id,
        browser_digest=attempt.browser_digest,
        login_digest=attempt.login_digest,
        purpose=attempt.purpose,
    )
    reach("codes.used")
    return account_id


async def use_to_link(conn: Connection, attempt: Attempt, code: str, proof_id: UUID, *, keys: Keys) -> Address:
    """Use a code up that links a proof, and give the address that its person has shown to be theirs; raises `WrongCode`.

    A code that was asked for with another proof is no good, whoever has both (sec-A15).
    """
    await store.lock_subject(conn, attempt.subject)
    blocked = await passwords.is_blocked(conn, attempt.blocked_as)
    digests = _digests(attempt, code, keys)
    address = None if blocked else await store.use_link_code(conn, attempt.challenges, digests, proof_id)
    if address is None:
        raise WrongCode
    await store.note_success(
        conn,
        attempt_id=attempt.id,
        browser_digest=attempt.browser_digest,
        login_digest=attempt.login_digest,
        purpose=attempt.purpose,
    )
    reach("codes.used")
    return Address(address)


def _digests(attempt: Attempt, code: str, keys: Keys) -> list[bytes]:
    return [challenges.code_digest(keys, challenge_id, code) for challenge_id in attempt.challenges]
