"""The HTTP edge of sessions."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from chassis import access
from services.auth.front import SESSION, Front, SessionCookie, delete_cookie, set_cookie
from services.auth.sessions import sessions
from services.auth.sessions.errors import NotLoggedIn
from services.auth.sessions.store import Session


class SessionView(BaseModel):
    """Who is logged in."""

    account_id: UUID
    address: str
    language: str
    assurance: str
    started_at: datetime
    ends_at: datetime


def router(front: Front) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(
        prefix="/v1", tags=["log-in"], dependencies=[access.anyone("The session's own cookie is looked at.")]
    )
    database, keys = front.database, front.keys

    @routes.get("/session")
    async def show_session(session: SessionCookie = None) -> SessionView:
        if session is None:
            raise NotLoggedIn
        async with database.transaction() as conn:
            return view(await sessions.current(conn, session, keys=keys))

    @routes.delete("/session", status_code=204)
    async def log_out(response: Response, session: SessionCookie = None) -> None:
        if session is not None:
            async with database.transaction() as conn:
                await sessions.end(conn, session, keys=keys)
        delete_cookie(response, SESSION)

    return routes


def show_to(response: Response, token: str, session: Session) -> SessionView:
    """Give a browser the cookie of its new session, and say whose it is."""
    set_cookie(response, SESSION, token, sessions.SESSION_SECONDS)
    return view(session)


def view(session: Session) -> SessionView:
    return SessionView(
        account_id=session.account_id,
        address=session.address,
        language=session.language,
        assurance="low",
        started_at=session.started_at,
        ends_at=session.ends_at,
    )
