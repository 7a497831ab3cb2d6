"""The HTTP edge of sessions and of access tokens for browsers."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, scope
from chassis.access import Caller, NotSignedIn, TokenRefused
from chassis.openapi import refused
from chassis.postgres import Connection
from contracts.rights import BY_NAME
from services.auth.front import SESSION, Front, SessionCookie, delete_cookie, set_cookie
from services.auth.sessions import access_tokens, refresh_tokens, sessions, store
from services.auth.sessions.errors import (
    NoSuchSession,
    NotLoggedIn,
    OrganisationNotYours,
    TooManyChains,
    UnknownAudience,
)
from services.auth.sessions.sessions import Method
from services.auth.sessions.store import Session
from services.auth.sessions.token_keys import Signer
from services.auth.terms import terms
from services.auth.terms.errors import TermsPending

LOGGED_IN = access.needs(organisation=False, sees=scope.SYSTEM)
LoggedIn = Annotated[Caller, LOGGED_IN]
"""Whoever is logged in, whichever organisation they act for: what these routes show and change is their own."""
SessionId = Annotated[UUID, Path(description="`session_id` in the list")]


_ACCOUNT, _ORGANISATION = "0199a3e2-7c41-7d3a-9c0f-000000000002", "01980a3e-7c41-7d3a-9c0f-000000000001"
_SESSION: dict[str, Any] = {
    "account_id": _ACCOUNT,
    "address": "kari@example.no",
    "language": "nb",
    "assurance": "low",
    "started_at": "2026-01-31T12:00:00Z",
    "ends_at": "2026-01-31T20:00:00Z",
    "method": "code",
    "organisation_id": _ORGANISATION,
}


class SessionView(BaseModel):
    """Who is logged in."""

    model_config = ConfigDict(json_schema_extra={"example": _SESSION})
    account_id: UUID
    address: str
    language: str
    assurance: str
    started_at: datetime
    ends_at: datetime
    method: Method
    organisation_id: Annotated[UUID | None, Field(description="the organisation that is acted for, if one is chosen")]


class Standing(SessionView):
    """Who is logged in, for whom they act, and what they must still accept."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_SESSION,
                "organisation": "Eksempel AS",
                "groups": ["cases.payroll"],
                "pending_terms": ["unionfees.confidentiality"],
            }
        }
    )
    organisation: Annotated[str | None, Field(description="its name")]
    groups: Annotated[list[str], Field(description="the person's groups of rights there")]
    pending_terms: Annotated[
        list[str], Field(description="terms to accept before the services that these groups give access to (U13)")
    ]


_LISTED: dict[str, Any] = {
    "session_id": "0199a3e2-7c41-7d3a-9c0f-000000000003",
    "started_at": "2026-01-31T12:00:00Z",
    "seen_at": "2026-01-31T12:05:00Z",
    "ends_at": "2026-01-31T20:00:00Z",
    "method": "code",
    "assurance": "low",
    "organisation_id": _ORGANISATION,
    "current": True,
}


class ListedSession(BaseModel):
    """A session of one's own."""

    model_config = ConfigDict(json_schema_extra={"example": _LISTED})
    session_id: UUID
    started_at: datetime
    seen_at: datetime
    ends_at: datetime
    method: Method
    assurance: str
    organisation_id: UUID | None
    current: Annotated[bool, Field(description="it is the one that asks")]


class ListedSessions(BaseModel):
    """One's own sessions that are open, the one used last first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_LISTED]}})
    items: list[ListedSession]


class ChooseOrganisation(BaseModel):
    """Which organisation to act for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"organisation_id": _ORGANISATION}})
    organisation_id: UUID


_BEARER = "Bearer"
_JWT = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJhdWQiOiJ1bmlvbmZlZXMifQ.c2lnbmF0dXJl"
_CHAIN = "0199a3e2-7c41-7d3a-9c0f-000000000004.1.NjHy0pKbQyWqf6nT2m1oXc8vZr4uLdEaGiSxBtPwY3k"


class AskForToken(BaseModel):
    """The service that the token is for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"audience": "unionfees"}})
    audience: Annotated[str, Field(max_length=100)]


class TokenView(BaseModel):
    """An access token, for the `Authorization` header: `Bearer <token>`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "access_token": _JWT,
                "token_type": _BEARER,
                "expires_in": 60,
                "audience": "unionfees",
            }
        }
    )
    access_token: str
    token_type: str = _BEARER
    expires_in: Annotated[int, Field(description="seconds")]
    audience: str


class RefreshTokenView(BaseModel):
    """The first token of a chain: each is good for one exchange at /v1/oauth/token, which gives the next."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "refresh_token": _CHAIN,
                "expires_at": "2026-01-31T20:00:00Z",
            }
        }
    )
    refresh_token: str
    expires_at: Annotated[datetime, Field(description="when the session ends, at the latest")]


def router(front: Front, signer: Signer) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/v1", tags=["sessions"])
    _add_own_session(routes, front)
    _add_own_sessions(routes, front)
    _add_tokens(routes, front, signer)
    return routes


def _add_own_session(routes: APIRouter, front: Front) -> None:
    database = front.database

    @routes.get("/session", summary="Show who is logged in")
    async def show_session(caller: LoggedIn) -> Standing:
        """Show who is logged in, for whom they act, and which terms they must still accept."""
        async with database.transaction() as conn:
            return await _standing(conn, await _session_of(conn, caller))

    @routes.put(
        "/session/organisation",
        summary="Choose which organisation to act for",
        responses=refused(OrganisationNotYours),
    )
    async def choose_organisation(body: ChooseOrganisation, caller: LoggedIn) -> Standing:
        """Act for another organisation from now on, in this session alone."""
        async with database.transaction() as conn:
            session = await _session_of(conn, caller)
            await sessions.choose_organisation(conn, session.id, session.account_id, body.organisation_id)
            return await _standing(conn, await _session_of(conn, caller))

    @routes.delete(
        "/session",
        status_code=204,
        summary="Log out",
        responses=refused(NotSignedIn, TokenRefused, NotLoggedIn, NoSuchSession),
        dependencies=[access.anyone("Whose session is over already may log out as well.", sees=scope.SYSTEM)],
    )
    async def log_out(request: Request, response: Response, session: SessionCookie = None) -> None:
        """End the session and void its tokens; a program, which has no cookie, by an access token for auth."""
        if session is not None:
            async with database.transaction() as conn:
                await sessions.end(conn, session, keys=front.keys)
        elif "authorization" in request.headers:
            await _log_out_by_token(request, front)
        delete_cookie(response, SESSION)


def _add_own_sessions(routes: APIRouter, front: Front) -> None:
    database = front.database

    @routes.get("/sessions", summary="List one's own sessions")
    async def list_sessions(caller: LoggedIn) -> ListedSessions:
        async with database.transaction() as conn:
            session = await _session_of(conn, caller)
            found = await store.find_open_sessions(conn, session.account_id)
        return ListedSessions(items=[_listed(each, session.id) for each in found])

    @routes.delete("/sessions", status_code=204, summary="End all of one's sessions but this one")
    async def end_other_sessions(caller: LoggedIn) -> None:
        async with database.transaction() as conn:
            session = await _session_of(conn, caller)
            await sessions.end_others(conn, session.account_id, but=session.id)

    @routes.delete(
        "/sessions/{session_id}", status_code=204, summary="End one of one's sessions", responses=refused(NoSuchSession)
    )
    async def end_session(session_id: SessionId, caller: LoggedIn, response: Response) -> None:
        async with database.transaction() as conn:
            session = await _session_of(conn, caller)
            await sessions.end_one(conn, session_id, session.account_id)
        if session_id == session.id:
            delete_cookie(response, SESSION)


def _add_tokens(routes: APIRouter, front: Front, signer: Signer) -> None:
    database = front.database

    @routes.post(
        "/access-tokens",
        status_code=201,
        summary="Give an access token for a service",
        responses=refused(UnknownAudience, TermsPending(terms="unionfees.confidentiality", where=terms.WHERE)),
        dependencies=[LOGGED_IN],
    )
    async def give_access_token(body: AskForToken, cookie: SessionCookie = None) -> TokenView:
        """Give a token with the person's rights in one service at this moment, for the organisation that is acted for."""
        async with database.transaction() as conn:
            session = await _session_of_browser(conn, cookie, front)
            issued = await access_tokens.issue(conn, session, body.audience, signer=signer, chance=front.chance)
        return TokenView(access_token=issued.token, expires_in=issued.seconds, audience=body.audience)

    @routes.post(
        "/refresh-tokens",
        status_code=201,
        summary="Give the first of a chain of refresh tokens",
        responses=refused(TooManyChains),
        dependencies=[LOGGED_IN],
    )
    async def give_refresh_token(cookie: SessionCookie = None) -> RefreshTokenView:
        """Give a program without cookies what it goes on with; the chain ends with the session."""
        async with database.transaction() as conn:
            session = await _session_of_browser(conn, cookie, front)
            token = await refresh_tokens.start(conn, session.id, keys=front.keys)
        return RefreshTokenView(refresh_token=token, expires_at=session.ends_at)


async def _session_of(conn: Connection, caller: Caller) -> Session:
    """Find the session of a person; raises `NotLoggedIn` where it has ended since they were recognised."""
    session = None if caller.session_id is None else await store.touch_session_by_id(conn, caller.session_id)
    if session is None:
        raise NotLoggedIn
    return session


async def _log_out_by_token(request: Request, front: Front) -> None:
    """End the session of an access token; raises `NotSignedIn` for one that is not good, or a system's."""
    caller: Caller = await request.app.state.authenticator(request)
    if caller.account_id is None or caller.session_id is None:
        raise NotLoggedIn
    async with front.database.transaction() as conn:
        await sessions.end_one(conn, caller.session_id, caller.account_id)


async def _session_of_browser(conn: Connection, cookie: str | None, front: Front) -> Session:
    """Find the session of a cookie; raises `NotLoggedIn`, also for an access token: a minute's proof must not beget more."""
    if cookie is None:
        raise NotLoggedIn
    return await sessions.current(conn, cookie, keys=front.keys)


async def _standing(conn: Connection, session: Session) -> Standing:
    acting = await sessions.acting(conn, session)
    groups = list(acting.groups) if acting else []
    services = {BY_NAME[name].service for name in groups if name in BY_NAME}
    pending = [each.name for each in await terms.standings(conn, session.account_id, services) if not each.accepted]
    shown = view(session).model_dump() | {"organisation_id": acting.organisation_id if acting else None}
    return Standing(**shown, organisation=acting.name if acting else None, groups=groups, pending_terms=pending)


def _listed(session: store.OpenSession, current: UUID) -> ListedSession:
    return ListedSession(
        session_id=session.id,
        started_at=session.started_at,
        seen_at=session.seen_at,
        ends_at=session.ends_at,
        method=Method(session.method),
        assurance=session.assurance,
        organisation_id=session.organisation_id,
        current=session.id == current,
    )


def show_to(response: Response, token: str, session: Session) -> SessionView:
    """Give a browser the cookie of its new session, and say whose it is."""
    set_cookie(response, SESSION, token, sessions.SESSION_SECONDS)
    return view(session)


def view(session: Session) -> SessionView:
    return SessionView(
        account_id=session.account_id,
        address=session.address,
        language=session.language,
        assurance=session.assurance,
        started_at=session.started_at,
        ends_at=session.ends_at,
        method=Method(session.method),
        organisation_id=session.organisation_id,
    )
