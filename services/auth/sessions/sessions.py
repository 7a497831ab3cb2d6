"""Sessions: 30 minutes idle, 8 hours at most, by the database's clock (sec-A10)."""

from uuid import UUID

import structlog

from chassis.postgres import Connection
from services.auth.keys import Chance, Keys
from services.auth.sessions import store
from services.auth.sessions.errors import NotLoggedIn
from services.auth.sessions.store import Session

log = structlog.get_logger()

SESSION_SECONDS = 8 * 3600


async def start(conn: Connection, account_id: UUID, *, browser_digest: bytes, keys: Keys, chance: Chance) -> str:
    """Log an account in, note the browser as one that it knows, and give the session's token."""
    await store.note_device(conn, account_id, browser_digest)
    token = chance.token()
    await store.insert_session(conn, keys.digest("session", token), account_id)
    log.info("logged_in", account_id=str(account_id), assurance="low")
    return token


async def current(conn: Connection, token: str, *, keys: Keys) -> Session:
    """Find the session of a token and note that it is used; raises `NotLoggedIn`."""
    session = await store.touch_session(conn, keys.digest("session", token))
    if session is None:
        raise NotLoggedIn
    return session


async def end(conn: Connection, token: str, *, keys: Keys) -> None:
    """Log out; a session that is over already stays over."""
    await store.end_session(conn, keys.digest("session", token))
