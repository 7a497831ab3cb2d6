"""The HTTP edge of passwords. It answers alike whoever has the login, blocked or not (sec-A9)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access
from chassis.failpoints import reach
from chassis.openapi import refused
from chassis.scope import SYSTEM
from services.auth import telemetry
from services.auth.front import SETS_SESSION, Front, SessionCookie
from services.auth.passwords import passwords, policy, store
from services.auth.passwords.errors import (
    Busy,
    CommonPassword,
    PasswordNamesYou,
    PasswordsDiffer,
    PasswordTooLong,
    PasswordTooShort,
    TooManyPasswords,
    WrongLogin,
    WrongPassword,
)
from services.auth.passwords.hashing import BUSY_SECONDS, Hashing
from services.auth.people.user_names import read_login
from services.auth.sessions import sessions
from services.auth.sessions.api import SessionView, show_to
from services.auth.sessions.errors import NotLoggedIn

NEW_PASSWORD = "15 characters or more, of any kind; common ones and names are refused"  # noqa: S105 -- words. # nosec B105

_OLD, _NEW = "fire blåbær under ei bru", "sju trapper opp til loftet"


NOT_GOOD_ENOUGH = (
    PasswordsDiffer,
    PasswordTooShort(least=policy.LEAST_CHARACTERS),
    PasswordTooLong(most=policy.MOST_BYTES),
    CommonPassword,
    PasswordNamesYou,
)
"""What is declined about a new password."""
BUSY = Busy(retry_after=BUSY_SECONDS)
_TOO_MANY = TooManyPasswords(retry_after=passwords.HOUR)


class LogIn(BaseModel):
    """Who logs in: an address, or a user name where the person has one (L1)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"login": "kari@example.no", "password": _OLD}},
    )
    login: Annotated[str, Field(max_length=254)]
    password: str


class ChangePassword(BaseModel):
    """A new password, twice, for whoever still has the old one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "old_password": _OLD,
                "new_password": _NEW,
                "confirmation": _NEW,
            }
        },
    )
    old_password: str
    new_password: Annotated[str, Field(description=NEW_PASSWORD)]
    confirmation: str


def router(front: Front, hashing: Hashing) -> APIRouter:
    """Make the routes."""
    policy.common()  # Read here, once, and not while somebody waits.
    why = "Whoever logs in is not signed in yet; whoever changes a password is looked at by the session's cookie."
    routes = APIRouter(prefix="/v1", tags=["log-in"], dependencies=[access.anyone(why, sees=SYSTEM)])
    _add_log_in(routes, front, hashing)
    _add_change(routes, front, hashing)
    return routes


def _add_log_in(routes: APIRouter, front: Front, hashing: Hashing) -> None:
    database, keys = front.database, front.keys

    @routes.post(
        "/sessions/by-password",
        status_code=201,
        summary="Log in with a password",
        responses={201: SETS_SESSION, **refused(WrongLogin, _TOO_MANY, BUSY)},
    )
    async def log_in_by_password(
        body: LogIn,
        request: Request,
        response: Response,
        browser: Annotated[str, Depends(front.browser_of)],
        before: SessionCookie = None,
    ) -> SessionView:
        """Start a session. A wrong password, a blocked account and one that is not there are answered alike (sec-A9)."""
        login, source = read_login(body.login), front.source_of(request)
        async with hashing.slot() as slot:
            async with database.transaction() as conn:  # Counted for good before it is compared.
                guess = await passwords.count(
                    conn, login, browser=browser, source=source, limits=front.limits, keys=keys
                )
            reach("passwords.counted")
            renewed = await slot.compare(guess.account_id, body.password, guess.kept)
        if renewed is None:
            telemetry.LOG_INS.labels(method="password", outcome="refused").inc()
            raise WrongLogin
        async with database.transaction() as conn:
            token = await passwords.log_in(conn, guess, renewed, keys=keys, chance=front.chance, replacing=before)
            session = await sessions.current(conn, token, keys=keys)
        reach("passwords.committed")
        telemetry.LOG_INS.labels(method="password", outcome="succeeded").inc()
        return show_to(response, token, session)


def _add_change(routes: APIRouter, front: Front, hashing: Hashing) -> None:
    database, keys = front.database, front.keys

    @routes.put(
        "/password",
        status_code=204,
        summary="Change one's own password",
        responses=refused(NotLoggedIn, WrongPassword, *NOT_GOOD_ENOUGH, _TOO_MANY, BUSY),
    )
    async def change_password(
        body: ChangePassword,
        request: Request,
        browser: Annotated[str, Depends(front.browser_of)],
        session: SessionCookie = None,
    ) -> None:
        """Set another password, which is good from now on; every other session of the account ends.

        A new password that is not good enough counts as no try. After too many wrong ones in a row the right one is
        refused as well.
        """
        if session is None:
            raise NotLoggedIn
        policy.require_same(body.new_password, body.confirmation)
        source = front.source_of(request)
        async with database.transaction() as conn:
            person = await sessions.current(conn, session, keys=keys)
            words = await store.find_words(conn, person.account_id)
        policy.require_good(body.new_password, [*front.settings.password_words, *words])
        async with hashing.slot() as slot:
            async with database.transaction() as conn:
                guess = await passwords.count_own(
                    conn, person.account_id, browser=browser, source=source, limits=front.limits, keys=keys
                )
            reach("passwords.counted")
            renewed = await slot.compare(guess.account_id, body.old_password, guess.kept)
            if renewed is None:
                raise WrongPassword
            new = await slot.hash(person.account_id, body.new_password)
        async with database.transaction() as conn:
            await passwords.change(conn, guess, renewed, new, session_id=person.id)
