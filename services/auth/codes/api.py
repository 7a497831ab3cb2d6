"""The HTTP edge of one-time codes. It answers alike for members and strangers (sec-A9)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis import access, idempotency
from chassis.failpoints import reach
from services.auth.codes import login_codes, store
from services.auth.front import BrowserCookie, Front, SessionCookie
from services.auth.limits import Limits
from services.auth.people.addresses import TypedAddress
from services.auth.sessions import sessions
from services.auth.sessions.api import SessionView, show_to


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


@dataclass(frozen=True, slots=True)
class _Codes:
    """What the routes are served with."""

    front: Front
    limits: Limits

    def view(self, challenge: store.Challenge) -> LoginCode:
        return LoginCode(
            challenge_id=challenge.id,
            address=challenge.address,
            reference=challenge.reference,
            asked_at=challenge.asked_at,
            expires_at=challenge.expires_at,
            sender=self.front.settings.mail_sender,
        )


def router(front: Front, limits: Limits) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(
        prefix="/v1", tags=["log-in"], dependencies=[access.anyone("Whoever asks for a code is not signed in yet.")]
    )
    codes = _Codes(front, limits)
    _add_asking(routes, codes)
    _add_redeeming(routes, codes)
    return routes


def _add_asking(routes: APIRouter, codes: _Codes) -> None:
    front = codes.front

    @routes.get("/login-codes")
    async def list_login_codes(browser: Annotated[str, Depends(front.browser_of)]) -> LoginCodes:
        async with front.database.transaction() as conn:
            challenges = await store.find_live_challenges(conn, front.keys.digest("browser", browser))
        return LoginCodes(items=[codes.view(challenge) for challenge in challenges])

    @routes.post("/login-codes", status_code=202)
    async def ask_for_login_code(
        body: AskForCode,
        request: Request,
        browser: Annotated[str, Depends(front.browser_of)],
        known: BrowserCookie = None,
    ) -> LoginCode:
        request_key = await idempotency.key_of(request, known)
        source = front.source_of(request)

        async def work() -> LoginCode:
            challenge = await login_codes.ask(
                conn,
                body.address,
                browser=browser,
                source=source,
                limits=codes.limits,
                keys=front.keys,
                chance=front.chance,
            )
            return codes.view(challenge)

        async with front.database.transaction() as conn:
            answer = await idempotency.once(conn, request_key, LoginCode, work)
        reach("api.asked")
        return answer


def _add_redeeming(routes: APIRouter, codes: _Codes) -> None:
    front = codes.front
    database, keys = front.database, front.keys

    @routes.post("/sessions", status_code=201)
    async def log_in(
        body: RedeemCode,
        response: Response,
        browser: Annotated[str, Depends(front.browser_of)],
        before: SessionCookie = None,
    ) -> SessionView:
        async with database.transaction() as conn:  # The try is counted for good before the code is judged.
            attempt = await login_codes.count_attempt(
                conn, body.challenge_id, browser=browser, limits=codes.limits, keys=keys
            )
        reach("api.counted")
        async with database.transaction() as conn:
            token = await login_codes.redeem(conn, attempt, body.code, keys=keys, chance=front.chance, replacing=before)
            session = await sessions.current(conn, token, keys=keys)
        return show_to(response, token, session)
