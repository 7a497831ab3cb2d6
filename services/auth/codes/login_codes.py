"""Login codes: asked for by anybody, issued to members only, redeemed once, in the browser that asked."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from chassis import outbox, tracing
from chassis.failpoints import reach
from chassis.postgres import Connection
from contracts.auth import OtpRequested, Purpose
from contracts.privacy import Sealed
from services.auth.codes import store
from services.auth.codes.errors import TooManyTries, WrongCode
from services.auth.codes.store import Challenge
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits, network_of
from services.auth.people import store as people
from services.auth.people.addresses import Address
from services.auth.people.store import Account
from services.auth.sessions import sessions

log = structlog.get_logger()

ASKED_BELL = "codes_asked"
WAIT_SECONDS = 15 * 60


async def ask(  # noqa: PLR0913 -- who asks, from where, and with what it is made.
    conn: Connection, address: Address, *, browser: str, source: str, limits: Limits, keys: Keys, chance: Chance
) -> Challenge:
    """Note that a code is wanted. Whose address it is, is looked up after the answer: not even time tells (sec-A9)."""
    challenge = await store.insert_challenge(
        conn,
        address,
        address_digest=keys.digest("address", address),
        browser_digest=keys.digest("browser", browser),
        source_digest=keys.digest("source", network_of(source)),
        source_limit=limits.of_source(source),
        reference=chance.reference(),
        minutes=limits.code_minutes,
        traceparent=tracing.traceparent(),
    )
    conn.context.rings.add(ASKED_BELL)
    reach("codes.asked")
    return challenge


async def issue_next(conn: Connection, *, limits: Limits, keys: Keys, chance: Chance) -> bool:
    """Settle the oldest challenge: issue a code and owe its mail (G1), or find that none is due. False when none waits.

    No code for a stranger or an inactive account, beyond an address's or a source's limit (sec-A4), or too late.
    """
    wanted = await store.claim_ask(conn)
    if wanted is None:
        return False
    with tracing.resumed("issue login code", wanted.traceparent, {"samband.challenge_id": str(wanted.id)}):
        await _issue(conn, wanted, limits=limits, keys=keys, chance=chance)
    return True


async def _issue(conn: Connection, wanted: store.Ask, *, limits: Limits, keys: Keys, chance: Chance) -> None:
    account = await people.lock_account_by_address(conn, wanted.address)
    why_not = await _why_not(conn, wanted, account, limits)
    if why_not is not None or account is None:
        await store.settle_ask(conn, wanted.id, None, None)
        log.info("login_code_not_issued", challenge_id=str(wanted.id), reason=why_not)
        return
    code = chance.code()
    await store.settle_ask(conn, wanted.id, account.id, _digest(keys, wanted.id, code))
    await outbox.add(conn, _requested(wanted, account, code))
    reach("codes.issued")
    log.info("login_code_issued", challenge_id=str(wanted.id), account_id=str(account.id))


async def _why_not(conn: Connection, wanted: store.Ask, account: Account | None, limits: Limits) -> str | None:
    if account is None:
        return "unknown_address"
    if not account.active:
        return "inactive"
    if not wanted.alive:
        return "expired"
    if await store.count_issued(conn, account.id, wanted.browser_digest) >= limits.codes_per_quarter:
        return "too_many_to_the_address"
    if await store.count_from_source(conn, wanted) > wanted.source_limit:
        return "too_many_from_the_source"
    return None


def _requested(wanted: store.Ask, account: Account, code: str) -> OtpRequested:
    sealed: Sealed[Any] = Sealed(code)
    return OtpRequested(
        challenge_id=wanted.id,
        account_id=account.id,
        account_epoch=account.epoch,
        account_version=account.version,
        purpose=Purpose.LOGIN,
        reference=wanted.reference,
        code=sealed,
        issued_at=wanted.asked_at,
        expires_at=wanted.expires_at,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that has been counted and may now be judged, against the challenges that had tries left."""

    id: int
    subject: bytes
    challenges: tuple[UUID, ...]
    browser_digest: bytes
    address_digest: bytes


async def count_attempt(conn: Connection, challenge_id: UUID, *, browser: str, limits: Limits, keys: Keys) -> Attempt:
    """Count a try, to be committed before the code is judged: or guessing would be free (sec-A2, sec-A3).

    A try counts against the typed address, known or not, or against this browser alone where the account knows it, and
    against every live challenge of this browser and address: each of their codes counts (G5). Raises `WrongCode` for a
    challenge of another browser, `TooManyTries` beyond the limits; then nothing is counted.
    """
    browser_digest = keys.digest("browser", browser)
    found = await store.find_subject(conn, challenge_id, browser_digest)
    if found is None:
        raise WrongCode
    address, address_digest, known_device = found
    subject = keys.digest("device", address, browser) if known_device else address_digest
    await store.lock_subject(conn, subject)
    recent, failures = await store.count_attempts(conn, subject)
    if recent >= limits.tries_per_quarter or failures >= limits.failures_per_day:
        raise TooManyTries(retry_after=WAIT_SECONDS)
    tries = await store.count_tries(conn, browser_digest, address_digest)
    open_to_it = tuple(challenge for challenge, count in tries.items() if count <= limits.tries_per_code)
    if tries and not open_to_it:
        raise TooManyTries(retry_after=WAIT_SECONDS)
    attempt_id = await store.insert_attempt(conn, subject, challenge_id)
    return Attempt(attempt_id, subject, open_to_it, browser_digest, address_digest)


async def redeem(  # noqa: PLR0913 -- what is judged, and with what the session is made.
    conn: Connection, attempt: Attempt, code: str, *, keys: Keys, chance: Chance, replacing: str | None = None
) -> str:
    """Exchange a code for a session and give its token; raises `WrongCode` alike for all that is no good (sec-A9).

    `replacing` is the token of the session that the browser had until now.
    """
    await store.lock_subject(
        conn, attempt.subject
    )  # Codes of one browser tried at once would deadlock, or both log in.
    digests = [_digest(keys, challenge_id, code) for challenge_id in attempt.challenges]
    account_id = await store.use_code(conn, attempt.challenges, digests)
    if account_id is None:
        raise WrongCode
    await store.note_success(
        conn,
        attempt_id=attempt.id,
        browser_digest=attempt.browser_digest,
        address_digest=attempt.address_digest,
    )
    reach("codes.used")
    return await sessions.start(
        conn, account_id, browser_digest=attempt.browser_digest, keys=keys, chance=chance, replacing=replacing
    )


def _digest(keys: Keys, challenge_id: UUID, code: str) -> bytes:
    return keys.digest("code", str(challenge_id), code)
