"""The HTTP edge of forgotten passwords and user names, and of the first password. Alike for members and strangers (sec-A9)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, idempotency
from chassis.failpoints import reach
from chassis.openapi import refused
from chassis.scope import SYSTEM
from services.auth.codes import attempts, challenges, new_passwords, store
from services.auth.codes.api import TypedCode
from services.auth.codes.errors import TooManyTries, WrongCode, WrongLink
from services.auth.codes.new_passwords import Chosen
from services.auth.codes.purposes import Purpose
from services.auth.front import SETS_SESSION, BrowserCookie, Front, SessionCookie
from services.auth.passwords import policy
from services.auth.passwords.api import BUSY, NEW_PASSWORD, NOT_GOOD_ENOUGH
from services.auth.passwords.hashing import Hashing
from services.auth.people.addresses import TypedAddress
from services.auth.people.user_names import Login, read_login
from services.auth.sessions import sessions
from services.auth.sessions.api import SessionView, show_to

_WORDS = "sju trapper opp til loftet"
_NEW = {"new_password": _WORDS, "confirmation": _WORDS}


class NewPassword(BaseModel):
    """A code from a mail and one's own password, twice, in one step (U7)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"code": "042917", **_NEW}})
    code: TypedCode
    new_password: Annotated[str, Field(description=NEW_PASSWORD)]
    confirmation: str


class NewPasswordByLink(BaseModel):
    """What the link in the mail ends with, and one's own password, twice."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"token": _WORDS.replace(" ", "-"), **_NEW}}
    )
    token: Annotated[str, Field(max_length=100)]
    new_password: Annotated[str, Field(description=NEW_PASSWORD)]
    confirmation: str


class AskForUserName(BaseModel):
    """Whose user name is wanted."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"address": "kari@example.no"}})
    address: TypedAddress


class AskForInstructions(BaseModel):
    """Whose password is forgotten: a user name, or the address of whoever logs in with it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"user_name": "kari.nordmann"}})
    user_name: Annotated[str, Field(max_length=254)]


class AskedMail(BaseModel):
    """A mail that was asked for; it comes if an account has what was typed, to the address that is registered with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "asked_at": "2026-01-31T12:00:00Z",
                "expires_at": "2026-01-31T12:30:00Z",
                "sender": "ikkesvar@example.no",
            }
        }
    )
    asked_at: datetime
    expires_at: Annotated[datetime, Field(description="after this it is not sent, and its link is good no more")]
    sender: Annotated[str, Field(description="where the mail comes from; ask IT support about filters (G1, G4)")]


def router(front: Front, hashing: Hashing) -> APIRouter:
    """Make the routes."""
    why = "Whoever has forgotten how to sign in cannot."
    routes = APIRouter(prefix="/v1", tags=["log-in"], dependencies=[access.anyone(why, sees=SYSTEM)])
    asking = _Asking(front)
    _add_mails(routes, asking)
    _add_setting_by_code(routes, front, hashing, Purpose.ACTIVATION, "/activations")
    _add_setting_by_code(routes, front, hashing, Purpose.PASSWORD_RESET, "/password-resets")
    _add_setting_by_link(routes, front, hashing)
    return routes


class _Asking:
    """Asks for a mail that no code on this page follows."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def ask(self, login: Login, purpose: Purpose, request: Request, browser: str, known: str | None) -> AskedMail:
        front = self._front
        request_key = await idempotency.key_of(request, known)

        async def work() -> AskedMail:
            asked = await challenges.ask(
                conn,
                login,
                purpose,
                browser=browser,
                source=front.source_of(request),
                limits=front.limits,
                keys=front.keys,
                chance=front.chance,
            )
            return AskedMail(asked_at=asked.asked_at, expires_at=asked.expires_at, sender=front.settings.mail_sender)

        async with front.database.transaction() as conn:
            answer = await idempotency.once(conn, request_key, AskedMail, work)
        reach("api.asked")
        return answer

    async def browser(self, response: Response, browser: BrowserCookie = None) -> str:
        return self._front.browser_of(response, browser)


def _add_mails(routes: APIRouter, asking: _Asking) -> None:
    @routes.post(
        "/user-name-reminders",
        status_code=202,
        summary="Ask for one's user name by mail",
        responses=refused(*idempotency.REFUSALS),
        openapi_extra=idempotency.DOCUMENTED,
    )
    async def ask_for_user_name(
        body: AskForUserName,
        request: Request,
        browser: Annotated[str, Depends(asking.browser)],
        known: BrowserCookie = None,
    ) -> AskedMail:
        """Note what is wanted; a mail comes if an account has the address. The answer is the same where none has it."""
        return await asking.ask(Login(body.address), Purpose.USER_NAME, request, browser, known)

    @routes.post(
        "/password-instructions",
        status_code=202,
        summary="Ask for a link to set a new password with",
        responses=refused(*idempotency.REFUSALS),
        openapi_extra=idempotency.DOCUMENTED,
    )
    async def ask_for_instructions(
        body: AskForInstructions,
        request: Request,
        browser: Annotated[str, Depends(asking.browser)],
        known: BrowserCookie = None,
    ) -> AskedMail:
        """Note what is wanted; a mail comes if somebody has the user name. The answer is the same where nobody has it."""
        return await asking.ask(read_login(body.user_name), Purpose.PASSWORD_INSTRUCTIONS, request, browser, known)


def _add_setting_by_code(routes: APIRouter, front: Front, hashing: Hashing, purpose: Purpose, path: str) -> None:
    database, keys, limits = front.database, front.keys, front.limits
    told = {
        Purpose.ACTIVATION: "Activate an account: choose its first password with a code",
        Purpose.PASSWORD_RESET: "Choose a new password with a code",
    }

    @routes.post(
        f"{path}/{{challenge_id}}/password",
        status_code=201,
        name=f"set_password_by_{purpose.value}",
        summary=told[purpose],
        responses={
            201: SETS_SESSION,
            **refused(WrongCode, TooManyTries(retry_after=attempts.WAIT_SECONDS), *NOT_GOOD_ENOUGH, BUSY),
        },
    )
    async def set_password(
        challenge_id: Annotated[UUID, Path(description="any of this browser's for the address (G5)")],
        body: NewPassword,
        response: Response,
        browser: Annotated[str, Depends(front.browser_of)],
        before: SessionCookie = None,
    ) -> SessionView:
        """Set the password and log in, in one step; every other session of the account ends.

        A password that is not good enough uses no code up, and counts as no try. Nothing says why a code is no good.
        """
        policy.require_same(body.new_password, body.confirmation)
        async with database.transaction() as conn:
            typed = await store.find_login(conn, challenge_id, keys.digest("browser", browser), purpose)
        policy.require_good(body.new_password, [*front.settings.password_words, typed or ""])
        async with hashing.slot() as slot:
            async with database.transaction() as conn:  # The try is counted for good before the code is judged.
                attempt = await attempts.count(conn, challenge_id, purpose, browser=browser, limits=limits, keys=keys)
            reach("api.counted")
            async with database.transaction() as conn:
                right = await attempts.is_right(
                    conn, attempt, body.code, keys=keys, despite_block=limits.reset_lifts_block
                )
            if not right or attempt.account_id is None:
                raise WrongCode
            hashed = await slot.hash(attempt.account_id, body.new_password)
        chosen = Chosen(attempt.account_id, body.new_password, hashed)
        async with database.transaction() as conn:
            token = await new_passwords.set_by_code(
                conn, attempt, body.code, chosen, limits=limits, keys=keys, chance=front.chance, replacing=before
            )
            session = await sessions.current(conn, token, keys=keys)
        reach("passwords.committed")
        return show_to(response, token, session)


def _add_setting_by_link(routes: APIRouter, front: Front, hashing: Hashing) -> None:
    database, keys, limits = front.database, front.keys, front.limits

    @routes.post(
        "/password-instructions/redemptions",
        status_code=204,
        summary="Choose a new password with the link from the mail",
        responses=refused(WrongLink, *NOT_GOOD_ENOUGH, BUSY),
    )
    async def set_password_by_link(body: NewPasswordByLink, browser: Annotated[str, Depends(front.browser_of)]) -> None:
        """Set the password, in whatever browser; all sessions of the account end, and nobody is logged in by a link.

        A password that is not good enough does not use the link up. Nothing says why a link is no good.
        """
        policy.require_same(body.new_password, body.confirmation)
        policy.require_good(body.new_password, front.settings.password_words)
        browser_digest = keys.digest("browser", browser)
        async with database.transaction() as conn:
            account_id = await new_passwords.owner_of_link(
                conn, body.token, browser_digest=browser_digest, limits=limits, keys=keys
            )
        if account_id is None:
            raise WrongLink
        async with hashing.slot() as slot:
            hashed = await slot.hash(account_id, body.new_password)
        chosen = Chosen(account_id, body.new_password, hashed)
        async with database.transaction() as conn:
            await new_passwords.set_by_link(
                conn, body.token, chosen, browser_digest=browser_digest, limits=limits, keys=keys
            )
