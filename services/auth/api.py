"""The HTTP edge of auth."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Cookie, Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis import http, idempotency
from chassis.failpoints import reach
from chassis.postgres import Database
from services.auth import login_codes, sessions, store
from services.auth.addresses import TypedAddress
from services.auth.errors import NotLoggedIn
from services.auth.keys import Chance, Keys
from services.auth.login_codes import Limits
from services.auth.settings import AuthSettings

BROWSER, SESSION = "__Host-browser", "__Host-session"
BROWSER_SECONDS = 180 * 24 * 3600
SESSION_SECONDS = 8 * 3600

BrowserCookie = Annotated[str | None, Cookie(alias=BROWSER, max_length=100, pattern="^[A-Za-z0-9_-]*$")]
SessionCookie = Annotated[str | None, Cookie(alias=SESSION, max_length=100)]


class AskForCode(BaseModel):
    """Whose code is wanted."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"address": "kari@example.no"}})
    address: TypedAddress


class LoginCode(BaseModel):
    """A code that was asked for; this says nothing about whether anybody has the address."""

    challenge_id: UUID
    address: Annotated[str, Field(description="where the code goes, if an account has it: check the spelling (G2)")]
    reference: Annotated[str, Field(description="the mail shows the same word: it says which code is which (G5)")]
    asked_at: datetime
    expires_at: datetime
    sender: Annotated[str, Field(description="where the mail comes from; ask IT support about filters (G1, G4)")]


class LoginCodes(BaseModel):
    """What this browser asked for and may still redeem, newest first; every code among them counts."""

    items: list[LoginCode]


class RedeemCode(BaseModel):
    """A code from a mail. `challenge_id` is any of this browser's for the address; each of their codes counts."""

    model_config = ConfigDict(extra="forbid")
    challenge_id: UUID
    code: Annotated[
        str, BeforeValidator(lambda v: v.replace(" ", "") if isinstance(v, str) else v), Field(pattern="^[0-9]{6}$")
    ]


class SessionView(BaseModel):
    """Who is logged in."""

    account_id: UUID
    address: str
    language: str
    assurance: str
    started_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Front:
    """What the routes are served with."""

    database: Database
    settings: AuthSettings
    keys: Keys
    chance: Chance
    limits: Limits

    def browser_of(self, response: Response, browser: BrowserCookie = None) -> str:
        """Name the browser: a cookie of its own, given to whoever has none."""
        token = browser or self.chance.token()
        _set_cookie(response, BROWSER, token, BROWSER_SECONDS)
        return token

    def view(self, challenge: store.Challenge) -> LoginCode:
        return LoginCode(
            challenge_id=challenge.id,
            address=challenge.address,
            reference=challenge.reference,
            asked_at=challenge.asked_at,
            expires_at=challenge.expires_at,
            sender=self.settings.mail_sender,
        )


def router(database: Database, settings: AuthSettings, *, keys: Keys, chance: Chance, limits: Limits) -> APIRouter:
    """Make the routes. They answer alike for members and strangers (sec-A9)."""
    routes = APIRouter(prefix="/v1", tags=["log-in"])
    front = Front(database, settings, keys, chance, limits)
    _add_login_codes(routes, front)
    _add_sessions(routes, front)
    return routes


def _add_login_codes(routes: APIRouter, front: Front) -> None:
    @routes.get("/login-codes")
    async def list_login_codes(browser: Annotated[str, Depends(front.browser_of)]) -> LoginCodes:
        async with front.database.transaction() as conn:
            challenges = await store.find_live_challenges(conn, front.keys.digest("browser", browser))
        return LoginCodes(items=[front.view(challenge) for challenge in challenges])

    @routes.post("/login-codes", status_code=202)
    async def ask_for_login_code(
        body: AskForCode,
        request: Request,
        browser: Annotated[str, Depends(front.browser_of)],
        known: BrowserCookie = None,
    ) -> LoginCode:
        request_key = await idempotency.key_of(request, known)
        source = http.client_address(request, front.settings.trusted_proxies)

        async def work() -> LoginCode:
            challenge = await login_codes.ask(
                conn,
                body.address,
                browser=browser,
                source=source,
                limits=front.limits,
                keys=front.keys,
                chance=front.chance,
            )
            return front.view(challenge)

        async with front.database.transaction() as conn:
            answer = await idempotency.once(conn, request_key, LoginCode, work)
        reach("api.asked")
        return answer


def _add_sessions(routes: APIRouter, front: Front) -> None:
    database, keys = front.database, front.keys

    @routes.post("/sessions", status_code=201)
    async def log_in(
        body: RedeemCode, response: Response, browser: Annotated[str, Depends(front.browser_of)]
    ) -> SessionView:
        async with database.transaction() as conn:  # The try is counted for good before the code is judged.
            attempt = await login_codes.count_attempt(
                conn, body.challenge_id, browser=browser, limits=front.limits, keys=keys
            )
        reach("api.counted")
        async with database.transaction() as conn:
            token = await login_codes.redeem(conn, attempt, body.code, keys=keys, chance=front.chance)
            session = await sessions.current(conn, token, keys=keys)
        _set_cookie(response, SESSION, token, SESSION_SECONDS)
        return _view(session)

    @routes.get("/session")
    async def show_session(session: SessionCookie = None) -> SessionView:
        if session is None:
            raise NotLoggedIn
        async with database.transaction() as conn:
            return _view(await sessions.current(conn, session, keys=keys))

    @routes.delete("/session", status_code=204)
    async def log_out(response: Response, session: SessionCookie = None) -> None:
        if session is not None:
            async with database.transaction() as conn:
                await sessions.end(conn, session, keys=keys)
        response.delete_cookie(SESSION, secure=True, httponly=True, samesite="lax")


def _set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def _view(session: store.Session) -> SessionView:
    return SessionView(
        account_id=session.account_id,
        address=session.address,
        language=session.language,
        assurance="low",
        started_at=session.started_at,
        ends_at=session.ends_at,
    )
