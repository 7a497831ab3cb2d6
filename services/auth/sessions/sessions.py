"""Sessions: 30 minutes idle, 8 hours at most, by the database's clock; one that ends is refused everywhere (sec-A10)."""

from enum import StrEnum
from uuid import UUID

import structlog

from chassis import outbox
from chassis.failpoints import reach
from chassis.postgres import Connection
from contracts.auth import TokensVoided
from services.auth.keys import Chance, Keys
from services.auth.sessions import store
from services.auth.sessions.errors import NoSuchSession, NotLoggedIn
from services.auth.sessions.store import Ended, Session

log = structlog.get_logger()

SESSION_SECONDS = 8 * 3600


class Method(StrEnum):
    """How somebody has shown who they are; both are of low assurance."""

    CODE = "code"
    PASSWORD = "password"  # noqa: S105 -- the name of a way in. # nosec B105


async def start(  # noqa: PLR0913 -- who, where, how, and with what it is made.
    conn: Connection,
    account_id: UUID,
    *,
    browser_digest: bytes,
    keys: Keys,
    chance: Chance,
    method: Method = Method.CODE,
    replacing: str | None = None,
) -> str:
    """Log an account in, note the browser as one that it knows, and give the session's token.

    `replacing` is the token that the browser came with, whosever it was: that session ends, and nobody who planted or
    kept it has anything (sec-A16).
    """
    if replacing is not None:
        await end(conn, replacing, keys=keys)
    await store.note_device(conn, account_id, browser_digest)
    token = chance.token()
    await store.insert_session(conn, keys.digest("session", token), account_id, method=method, organisation_id=None)
    log.info("logged_in", account_id=str(account_id), assurance="low", method=method.value)
    return token


async def current(conn: Connection, token: str, *, keys: Keys) -> Session:
    """Find the session of a token and note that it is used; raises `NotLoggedIn`."""
    session = await store.touch_session(conn, keys.digest("session", token))
    if session is None:
        raise NotLoggedIn
    return session


async def end(conn: Connection, token: str, *, keys: Keys) -> None:
    """Log out; a session that is over already stays over."""
    ended = await store.end_session(conn, keys.digest("session", token))
    if ended is not None:
        await _tell(conn, ended, "log_out")


async def end_one(conn: Connection, session_id: UUID, account_id: UUID) -> None:
    """End a session of this account; raises `NoSuchSession`, alike for another's."""
    ended = await store.end_session_by_id(conn, session_id, account_id)
    if ended is None:
        raise NoSuchSession
    await _tell(conn, ended, "ended_by_its_person")


async def end_others(conn: Connection, account_id: UUID, *, but: UUID) -> None:
    """End every session of an account but the one that asks for it."""
    for ended in await store.end_other_sessions(conn, account_id, but):
        await _tell(conn, ended, "ended_by_its_person")


async def _tell(conn: Connection, ended: Ended, reason: str) -> None:
    """Tell every service that the session's tokens are void."""
    voided = TokensVoided(account_id=ended.account_id, session_id=ended.id, voided_at=ended.ended_at)
    await outbox.add(conn, voided)
    reach("sessions.ended")
    log.info("session_ended", account_id=str(ended.account_id), session_id=str(ended.id), reason=reason)
