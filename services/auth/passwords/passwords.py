"""Passwords: counted as wrong before they are compared, and set by whoever has shown the old one or a code."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import structlog

from chassis import outbox
from chassis.failpoints import reach
from chassis.postgres import Connection
from contracts.auth import PasswordChanged
from services.auth import telemetry
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits, network_of
from services.auth.passwords import blocks, store
from services.auth.passwords.errors import TooManyPasswords, WrongLogin, WrongPassword
from services.auth.passwords.store import Candidate
from services.auth.people import security
from services.auth.people import store as people
from services.auth.people.user_names import Login
from services.auth.sessions import sessions
from services.auth.sessions.sessions import Method

log = structlog.get_logger()

HOUR = 3600


class Way(StrEnum):
    """How a password came to be set."""

    CHANGED = "changed"
    ACTIVATION = "activation"
    RESET = "password_reset"
    INSTRUCTIONS = "password_instructions"


@dataclass(frozen=True, slots=True)
class Guess:
    """A password that was counted and may now be compared with `kept`: with nothing where it may not be right."""

    attempt_id: int
    subject: bytes
    account_id: UUID | None
    kept: str | None
    browser_digest: bytes


async def count(  # noqa: PLR0913 -- whose, from where, within which limits.
    conn: Connection, login: Login, *, browser: str, source: str, limits: Limits, keys: Keys
) -> Guess:
    """Count a password that somebody logs in with, to be committed before it is compared (sec-A3).

    The same is done whoever has the login: a blocked person, one without a password, or nobody. Raises
    `TooManyPasswords` when too many from this source were wrong; then nothing is counted.
    """
    attempt_id = await _count_source(conn, source, limits, keys)
    browser_digest = keys.digest("browser", browser)
    candidate = await store.find_candidate(conn, login, browser_digest)
    subject = blocks.subject_of(keys, candidate, login, browser_digest)
    return await _count(conn, attempt_id, candidate, subject=subject, browser_digest=browser_digest, limits=limits)


async def count_own(  # noqa: PLR0913 -- as above.
    conn: Connection, account_id: UUID, *, browser: str, source: str, limits: Limits, keys: Keys
) -> Guess:
    """Count the old password of somebody who is logged in, as above."""
    attempt_id = await _count_source(conn, source, limits, keys)
    browser_digest = keys.digest("browser", browser)
    candidate = await store.find_candidate_by_id(conn, account_id, browser_digest)
    subject = blocks.subject_of(keys, candidate, None, browser_digest)
    return await _count(conn, attempt_id, candidate, subject=subject, browser_digest=browser_digest, limits=limits)


async def _count_source(conn: Connection, source: str, limits: Limits, keys: Keys) -> int:
    source_digest = keys.digest("source", network_of(source))
    attempt_id = await store.insert_attempt(conn, source_digest, limits.of_source(source))
    if attempt_id is None:
        raise TooManyPasswords(retry_after=HOUR)
    return attempt_id


async def _count(  # noqa: PLR0913 -- what a guess is made of.
    conn: Connection, attempt_id: int, candidate: Candidate, *, subject: bytes, browser_digest: bytes, limits: Limits
) -> Guess:
    compared = await store.count_guess(
        conn, subject, candidate.account_id, tries=limits.tries_in_a_row, minutes=limits.block_minutes
    )
    kept = candidate.kept if compared else None
    return Guess(attempt_id, subject, candidate.account_id, kept, browser_digest)


async def log_in(  # noqa: PLR0913 -- who, with what, and with what the session is made.
    conn: Connection, guess: Guess, renewed: str | None, *, keys: Keys, chance: Chance, replacing: str | None
) -> str:
    """Log in whose password was right, and give the session's token; raises `WrongLogin` alike for all others.

    `renewed` is the hash to keep from now on, None for a password that was wrong.
    """
    if not await _is_right(conn, guess, renewed) or guess.account_id is None:
        raise WrongLogin
    token = await sessions.start(
        conn,
        guess.account_id,
        browser_digest=guess.browser_digest,
        keys=keys,
        chance=chance,
        method=Method.PASSWORD,
        replacing=replacing,
    )
    reach("passwords.used")
    return token


async def confirm(conn: Connection, guess: Guess, renewed: str | None) -> None:
    """Take somebody who is logged in for who they are, by their password; raises `WrongPassword`."""
    if not await _is_right(conn, guess, renewed):
        raise WrongPassword


async def change(conn: Connection, guess: Guess, renewed: str | None, new: str, *, session_id: UUID) -> None:
    """Change the password of somebody who is logged in and has shown the old one; this session alone goes on.

    Raises `WrongPassword`.
    """
    if guess.account_id is None or await people.lock_account(conn, guess.account_id) is None:
        raise WrongPassword
    if not await _is_right(conn, guess, renewed):
        raise WrongPassword
    if not await set_new(conn, guess.account_id, new, Way.CHANGED, except_session=session_id):
        raise WrongPassword


async def _is_right(conn: Connection, guess: Guess, renewed: str | None) -> bool:
    if guess.account_id is None or guess.kept is None or renewed is None:
        return False
    if not await store.confirm_password(conn, guess.account_id, guess.kept, renewed):
        return False
    await store.note_success(conn, guess.attempt_id)
    await store.delete_block(conn, guess.subject)
    return True


async def set_new(
    conn: Connection, account_id: UUID, kept: str, way: Way, *, except_session: UUID | None = None
) -> bool:
    """Set a password for whoever has proven to be its person; all sessions and codes from before end, and they are told.

    The caller has locked the account, before anything of it. False for one that may not log in.
    """
    changed_at = await store.replace_password(conn, account_id, kept)
    if changed_at is None:
        return False
    await security.void_codes(conn, account_id)
    await security.void_tokens(conn, account_id, except_session=except_session)
    account = await people.get_account(conn, account_id)
    await outbox.add(
        conn,
        PasswordChanged(
            account_id=account_id, account_epoch=account.epoch, account_version=account.version, changed_at=changed_at
        ),
    )
    reach("passwords.set")
    telemetry.PASSWORDS_SET.labels(way=way.value).inc()
    log.info("password_set", account_id=str(account_id), way=way.value)
    return True
