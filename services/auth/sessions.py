"""Sessions: 30 minutes idle, 8 hours at most, by the database's clock (sec-A10)."""

from chassis.postgres import Connection
from services.auth import store
from services.auth.errors import NotLoggedIn
from services.auth.keys import Keys
from services.auth.store import Session


async def current(conn: Connection, token: str, *, keys: Keys) -> Session:
    """Find the session of a token and note that it is used; raises `NotLoggedIn`."""
    session = await store.touch_session(conn, keys.digest("session", token))
    if session is None:
        raise NotLoggedIn
    return session


async def end(conn: Connection, token: str, *, keys: Keys) -> None:
    """Log out; a session that is over already stays over."""
    await store.end_session(conn, keys.digest("session", token))
