"""The HTTP edge of one-time codes. It answers alike for members and strangers (sec-A9)."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis import access, idempotency
from chassis.failpoints import reach
from chassis.openapi import refused
from chassis.scope import SYSTEM
from services.auth import telemetry
from services.auth.codes import attempts, challenges, login_codes, store
from services.auth.codes.errors import TooManyTries, WrongCode
from services.auth.codes.purposes import Purpose
from services.auth.front import SETS_SESSION, BrowserCookie, Front, SessionCookie
from services.auth.people.addresses import TypedAddress
from services.auth.people.user_names import Login
from services.auth.sessions import sessions
from services.auth.sessions.api import SessionView, show_to


def _as_digits(value: object) -> object:
    """Read what people type for a code: with spaces, or with the wide digits of some keyboards."""
    return unicodedata.normalize("NFKC", value).replace(" ", "") if isinstance(value, str) else value


TypedCode = Annotated[str, BeforeValidator(_as_digits), Field(pattern="^[0-9]{6}$", examples=["042917"])]


class AskForCode(BaseModel):
    """Whose code is wanted."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"address": "kari@example.no"}})
    address: TypedAddress


_ASKED: dict[str, Any] = {
    "challenge_id": "0199a3e2-7c41-7d3a-9c0f-000000000001",
    "address": "kari@example.no",
    "reference": "KVTR",
    "asked_at": "2026-01-31T12:00:00Z",
    "expires_at": "2026-01-31T12:10:00Z",
    "sender": "ikkesvar@example.no",
}


class AskedCode(BaseModel):
    """A code that was asked for; this says nothing about whether anybody has the address."""

    model_config = ConfigDict(json_schema_extra={"example": _ASKED})
    challenge_id: UUID
    address: Annotated[str, Field(description="where the code goes, if an account has it: check the spelling (G2)")]
    reference: Annotated[str, Field(description="the mail shows the same word: it says which code is which (G5)")]
    asked_at: datetime
    expires_at: datetime
    sender: Annotated[str, Field(description="where the mail comes from; ask IT support about filters (G1, G4)")]


class AskedCodes(BaseModel):
    """What this browser asked for and may still redeem, newest first; every code among them counts."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_ASKED]}})
    items: list[AskedCode]


class RedeemCode(BaseModel):
    """A code from a mail. `challenge_id` is any of this browser's for the address; each of their codes counts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"challenge_id": _ASKED["challenge_id"], "code": "042917"}},
    )
    challenge_id: UUID
    code: TypedCode


@dataclass(frozen=True, slots=True)
class Asking:
    """One thing that is asked for by its address: what for, where, and what the document says of it."""

    purpose: Purpose
    path: str
    summary: str
    listing: str


CODES = (
    Asking(Purpose.LOGIN, "/login-codes", "Ask for a code to log in with", "List the codes asked for to log in with"),
    Asking(
        Purpose.ACTIVATION,
        "/activations",
        "Ask for a code to activate an account with",
        "List the codes asked for to activate an account with",
    ),
    Asking(
        Purpose.PASSWORD_RESET,
        "/password-resets",
        "Ask for a code to set a new password with",
        "List the codes asked for to set a new password with",
    ),
)


def router(front: Front) -> APIRouter:
    """Make the routes."""
    why = "Whoever asks for a code is not signed in yet."
    routes = APIRouter(prefix="/v1", tags=["log-in"], dependencies=[access.anyone(why, sees=SYSTEM)])
    for asking in CODES:
        _add_asking(routes, front, asking)
    _add_redeeming(routes, front)
    return routes


def show_asked(challenge: store.Challenge, front: Front) -> AskedCode:
    """Say what was asked for, and nothing of whose it is."""
    return AskedCode(
        challenge_id=challenge.id,
        address=challenge.login,
        reference=challenge.reference,
        asked_at=challenge.asked_at,
        expires_at=challenge.expires_at,
        sender=front.settings.mail_sender,
    )


def _add_asking(routes: APIRouter, front: Front, asking: Asking) -> None:
    name = asking.path.strip("/").replace("-", "_")

    @routes.get(asking.path, name=f"list_{name}", summary=asking.listing)
    async def list_asked(browser: Annotated[str, Depends(front.browser_of)]) -> AskedCodes:
        """List what this browser asked for and may still redeem."""
        async with front.database.transaction() as conn:
            asked = await store.find_live_challenges(conn, front.keys.digest("browser", browser), asking.purpose)
        return AskedCodes(items=[show_asked(challenge, front) for challenge in asked])

    @routes.post(
        asking.path,
        status_code=202,
        name=f"ask_for_{name}",
        summary=asking.summary,
        responses=refused(*idempotency.REFUSALS),
        openapi_extra=idempotency.DOCUMENTED,
    )
    async def ask(
        body: AskForCode,
        request: Request,
        browser: Annotated[str, Depends(front.browser_of)],
        known: BrowserCookie = None,
    ) -> AskedCode:
        """Note what is wanted; a mail comes if an account has the address. The answer is the same where none has it."""
        request_key = await idempotency.key_of(request, known)
        source = front.source_of(request)

        async def work() -> AskedCode:
            challenge = await challenges.ask(
                conn,
                Login(body.address),
                asking.purpose,
                browser=browser,
                source=source,
                limits=front.limits,
                keys=front.keys,
                chance=front.chance,
            )
            return show_asked(challenge, front)

        async with front.database.transaction() as conn:
            answer = await idempotency.once(conn, request_key, AskedCode, work)
        reach("api.asked")
        return answer


def _add_redeeming(routes: APIRouter, front: Front) -> None:
    database, keys = front.database, front.keys

    @routes.post(
        "/sessions",
        status_code=201,
        summary="Log in with a code",
        responses={201: SETS_SESSION, **refused(WrongCode, TooManyTries(retry_after=attempts.WAIT_SECONDS))},
    )
    async def log_in(
        body: RedeemCode,
        response: Response,
        browser: Annotated[str, Depends(front.browser_of)],
        before: SessionCookie = None,
    ) -> SessionView:
        """Exchange a code from the mail for a session, once, in the browser that asked. Nothing says why a code is no good."""
        async with database.transaction() as conn:  # The try is counted for good before the code is judged.
            attempt = await attempts.count(
                conn, body.challenge_id, Purpose.LOGIN, browser=browser, limits=front.limits, keys=keys
            )
        reach("api.counted")
        try:
            async with database.transaction() as conn:
                token = await login_codes.redeem(
                    conn, attempt, body.code, keys=keys, chance=front.chance, replacing=before
                )
                session = await sessions.current(conn, token, keys=keys)
        except WrongCode:
            telemetry.LOG_INS.labels(method="code", outcome="refused").inc()
            raise
        telemetry.LOG_INS.labels(method="code", outcome="succeeded").inc()
        return show_to(response, token, session)
