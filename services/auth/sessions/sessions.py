"""Sessions: 30 minutes idle, 8 hours at most, by the database's clock; one that ends is refused everywhere (sec-A10)."""

from enum import StrEnum
from uuid import UUID

import structlog

from chassis import outbox, voids
from chassis.failpoints import reach
from chassis.postgres import Connection
from chassis.tokens import Assurance
from contracts.auth import TokensVoided
from services.auth.keys import Chance, Keys
from services.auth.rights import store as rights
from services.auth.rights.store import ActsFor
from services.auth.sessions import store
from services.auth.sessions.errors import NoSuchSession, NotLoggedIn, OrganisationNotYours
from services.auth.sessions.store import Ended, Session

log = structlog.get_logger()

SESSION_SECONDS = 8 * 3600


class Method(StrEnum):
    """How somebody has shown who they are; a code and a password are of low assurance."""

    CODE = "code"
    PASSWORD = "password"  # noqa: S105 -- the name of a way in. # nosec B105
    PROVIDER = "provider"


async def start(  # noqa: PLR0913 -- who, where, how, and with what it is made.
    conn: Connection,
    account_id: UUID,
    *,
    browser_digest: bytes,
    keys: Keys,
    chance: Chance,
    method: Method = Method.CODE,
    assurance: Assurance = Assurance.LOW,
    replacing: str | None = None,
) -> str:
    """Log an account in, note the browser as one that it knows, and give the session's token.

    Whoever may act for one organisation alone acts for that one.
    `replacing` is the token that the browser came with, whosever it was: that session ends, and nobody who planted or
    kept it has anything (sec-A16).
    """
    if replacing is not None:
        await end(conn, replacing, keys=keys)
    await store.note_device(conn, account_id, browser_digest)
    token = chance.token()
    may_act_for = await rights.find_organisations_of(conn, account_id)
    only = may_act_for[0].organisation_id if len(may_act_for) == 1 else None
    digest = keys.digest("session", token)
    await store.insert_session(conn, digest, account_id, method=method, assurance=assurance, organisation_id=only)
    log.info("logged_in", account_id=str(account_id), assurance=assurance.value, method=method.value)
    return token


async def current(conn: Connection, token: str, *, keys: Keys) -> Session:
    """Find the session of a token and note that it is used; raises `NotLoggedIn`."""
    session = await store.touch_session(conn, keys.digest("session", token))
    if session is None:
        raise NotLoggedIn
    return session


async def acting(conn: Connection, session: Session) -> ActsFor | None:
    """Give the organisation that a session acts for, with the person's groups there; None where they may not any more."""
    found = await rights.find_organisations_of(conn, session.account_id)
    return next((each for each in found if each.organisation_id == session.organisation_id), None)


async def choose_organisation(conn: Connection, session_id: UUID, account_id: UUID, organisation_id: UUID) -> None:
    """Act for another organisation from now on; raises `OrganisationNotYours`, alike for one that is not there (U28)."""
    may_act_for = await rights.find_organisations_of(conn, account_id)
    if organisation_id not in {each.organisation_id for each in may_act_for}:
        raise OrganisationNotYours
    await store.choose_organisation(conn, session_id, organisation_id)
    log.info("organisation_chosen", session_id=str(session_id), organisation_id=str(organisation_id))


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


async def end_elsewhere(conn: Connection, session_id: UUID) -> None:
    """End a session whose provider has ended its own; one that is over already stays over."""
    ended = await store.end_session_alone(conn, session_id)
    if ended is not None:
        await _tell(conn, ended, "ended_at_the_provider")


async def end_reused(conn: Connection, session_id: UUID) -> None:
    """End a session of whose refresh tokens somebody has a copy (sec-A12)."""
    ended = await store.end_session_alone(conn, session_id)
    if ended is not None:
        await _tell(conn, ended, "refresh_token_reused")


async def _tell(conn: Connection, ended: Ended, reason: str) -> None:
    """Tell every service that the session's tokens are void; here it is known at once."""
    voided = TokensVoided(account_id=ended.account_id, session_id=ended.id, voided_at=ended.ended_at)
    await voids.note(conn, voided)
    await outbox.add(conn, voided)
    reach("sessions.ended")
    log.info("session_ended", account_id=str(ended.account_id), session_id=str(ended.id), reason=reason)
