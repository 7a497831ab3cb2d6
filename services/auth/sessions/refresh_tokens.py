"""Refresh tokens: chains bound to a session, for clients without cookies; a copy that is used ends both (sec-A12).

A token is `<family>.<number>.<keyed digest>`: the next one can be said again, so that two tabs which present one token
within seconds get the same successor, and nothing secret is stored.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

import structlog

from chassis.failpoints import reach
from chassis.postgres import Connection
from services.auth.keys import Keys
from services.auth.sessions import sessions, store
from services.auth.sessions.errors import RefreshRefused, TooManyChains
from services.auth.sessions.store import Session

log = structlog.get_logger()

MOST = 20
"""Chains that a session can have had: one for each program that goes on from it."""

_TOKEN = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rotated:
    """A token was taken for its successor."""

    session: Session
    token: str


async def start(conn: Connection, session_id: UUID, *, keys: Keys) -> str:
    """Begin a chain that ends with the session, which the caller has locked; gives its first token.

    Raises `TooManyChains`.
    """
    family_id = await store.insert_family(conn, session_id, most=MOST)
    if family_id is None:
        raise TooManyChains
    return _token(family_id, 1, keys)


async def rotate(conn: Connection, token: str, *, keys: Keys) -> Rotated | None:
    """Take a token for its successor, and note that its session is used.

    None for one that had been followed by another: somebody has a copy, so the chain and its session are ended, which the
    caller must commit before it refuses. Raises `RefreshRefused` for what is no token, over, or never was.
    """
    family_id, number = parse(token, keys)
    rotation = await store.rotate_family(conn, family_id, number)
    if rotation is None:
        raise RefreshRefused
    if rotation.ended:
        log.warning("refresh_token_reused", family_id=str(family_id), session_id=str(rotation.session_id))
        await sessions.end_reused(conn, rotation.session_id)
        return None
    session = await store.touch_session_by_id(conn, rotation.session_id)
    if session is None:
        raise RefreshRefused
    reach("refresh.rotated")
    return Rotated(session, _token(family_id, rotation.successor, keys))


def parse(token: str, keys: Keys) -> tuple[UUID, int]:
    """Read family and number of a token that was made here; raises `RefreshRefused`."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise RefreshRefused
    family_id, number = UUID(found[1]), int(found[2])
    if not hmac.compare_digest(_proof(family_id, number, keys), found[3]):
        raise RefreshRefused
    return family_id, number


def _token(family_id: UUID, number: int, keys: Keys) -> str:
    return f"{family_id}.{number}.{_proof(family_id, number, keys)}"


def _proof(family_id: UUID, number: int, keys: Keys) -> str:
    digest = keys.digest("refresh token", str(family_id), str(number))
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
