"""The HTTP edge of links: the e-mail question, its code, and the account's own page where a link is removed."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access
from chassis.failpoints import reach
from chassis.openapi import refused
from chassis.scope import SYSTEM
from chassis.texts import Language
from services.auth.codes import attempts, challenges
from services.auth.codes.api import AskedCode, AskForCode, RedeemCode, TypedCode, show_asked
from services.auth.codes.challenges import Linking
from services.auth.codes.errors import TooManyTries, WrongCode
from services.auth.codes.purposes import Purpose
from services.auth.front import LINKING, SETS_SESSION, Front, LinkingCookie, SessionCookie, delete_cookie
from services.auth.identities import store as identities
from services.auth.identities.errors import IdentityTaken
from services.auth.identity_links import links, store
from services.auth.identity_links.errors import CodeNeeded, NoSuchLink, NothingToLink, PasswordNeeded, WrongMobile
from services.auth.identity_links.store import Page
from services.auth.identity_links.words import ADVICE, LINKED, PLACEHOLDER, QUESTION, REMOVE, SEND, Words
from services.auth.identity_providers import pages
from services.auth.identity_providers.api import Desk
from services.auth.passwords import passwords
from services.auth.passwords.errors import Busy, TooManyPasswords, WrongPassword
from services.auth.passwords.hashing import BUSY_SECONDS, Hashing
from services.auth.people.errors import AddressTaken
from services.auth.people.user_names import Login
from services.auth.sessions import sessions
from services.auth.sessions.api import LoggedIn, SessionView, show_to
from services.auth.sessions.errors import NotLoggedIn

_TOO_MANY_TRIES = TooManyTries(retry_after=attempts.WAIT_SECONDS)
_TOO_MANY_PASSWORDS = TooManyPasswords(retry_after=passwords.HOUR)
IdentityId = Annotated[UUID, Path(description="the electronic ID: `id` on the page of the account")]
_ID: dict[str, Any] = {
    "id": "0199a3e2-7c41-7d3a-9c0f-000000000007",
    "provider": "id-porten",
    "title": "ID-porten",
    "text": "Du kan logge inn med ID-porten.",
    "activated_at": "2026-01-31T12:00:00Z",
    "question": "Vil du fjerne koblingen?",
}


class EmailQuestion(BaseModel):
    """What the page asks whose identity is linked to nobody yet (I4, I5, I10)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "provider": "id-porten",
                "title": "ID-porten",
                "question": "Hvilken e-postadresse har du på jobb?",
                "placeholder": "E-post",
                "button": "Send",
                "advice": "Vi sender en kode dit.",
            }
        }
    )
    provider: str
    title: str
    question: str
    placeholder: str
    button: str
    advice: str


class LinkedIdentity(BaseModel):
    """The box "Elektronisk ID" (I19)."""

    model_config = ConfigDict(json_schema_extra={"example": _ID})
    id: UUID
    provider: str
    title: str
    text: str
    activated_at: datetime
    question: Annotated[str, Field(description="asked before the link is removed; the answer is 'Ja' (I14)")]


class AccountPage(BaseModel):
    """The page "Konto" (I18)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "email": "kari@example.no",
                "full_name": "Kari Nordmann",
                "country": "NO",
                "language": "nb",
                "mobile": "+4740000003",
                "has_password": False,  # nosec B105 -- says whether there is one.
                "electronic_ids": [_ID],
            }
        }
    )
    email: str
    full_name: str | None
    country: str
    language: str
    mobile: str | None
    has_password: Annotated[bool, Field(description="a link is removed with it; without one, with a code by e-mail")]
    electronic_ids: list[LinkedIdentity]


class Removal(BaseModel):
    """What proves the person once more: the password, or where there is none a code by e-mail."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"challenge_id": "01980a3e-7c41-7d3a-9c0f-000000000001", "code": "042917"}},
    )
    password: str | None = None
    challenge_id: UUID | None = None
    code: TypedCode | None = None


class NewMobile(BaseModel):
    """A mobile number, or null to have none."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"mobile": "+47 400 00 003"}})
    mobile: Annotated[str | None, Field(max_length=30)]


def router(front: Front, desk: Desk, hashing: Hashing) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/v1", tags=["electronic ID"])
    _add_question(routes, front, desk)
    _add_linking(routes, front, desk)
    _add_page(routes, front, desk)
    _add_removing(routes, front, hashing)
    return routes


_NOBODY_YET = access.anyone("Whoever links an identity has only just proven it.", sees=SYSTEM)


def _add_question(routes: APIRouter, front: Front, desk: Desk) -> None:
    words = Words()

    @routes.get(
        "/identity-links",
        summary="Show what is asked before an electronic ID is linked",
        dependencies=[_NOBODY_YET],
        responses=refused(NothingToLink),
    )
    async def show_email_question(request: Request, linking: LinkingCookie = None) -> EmailQuestion:
        language = pages.language_of(request)
        async with front.database.transaction() as conn:
            proof = await links.pending(conn, linking, keys=front.keys)
        title = _title(desk, proof.provider, language)
        return EmailQuestion(
            provider=proof.provider,
            title=title,
            question=words.say(QUESTION, language, provider=title),
            placeholder=words.say(PLACEHOLDER, language),
            button=words.say(SEND, language),
            advice=words.say(ADVICE, language),
        )

    @routes.post(
        "/identity-links",
        status_code=202,
        summary="Ask for a code to link an electronic ID with",
        dependencies=[_NOBODY_YET],
        responses=refused(NothingToLink),
    )
    async def ask_to_link(
        body: AskForCode,
        request: Request,
        browser: Annotated[str, Depends(front.browser_of)],
        linking: LinkingCookie = None,
    ) -> AskedCode:
        """Mail a code to the address, whoever has it: the answer tells nothing of that."""
        source = front.source_of(request)
        async with front.database.transaction() as conn:
            proof = await links.pending(conn, linking, keys=front.keys)
            challenge = await challenges.ask(
                conn,
                Login(body.address),
                Purpose.LINK,
                browser=browser,
                source=source,
                limits=front.limits,
                keys=front.keys,
                chance=front.chance,
                linking=Linking(proof.id, Language(proof.language)),
            )
        return show_asked(challenge, front)


def _add_linking(routes: APIRouter, front: Front, desk: Desk) -> None:
    database, keys = front.database, front.keys

    @routes.post(
        "/identity-links/redemptions",
        status_code=201,
        summary="Link an electronic ID with a code, and log in",
        dependencies=[_NOBODY_YET],
        responses={
            201: SETS_SESSION,
            **refused(WrongCode, NothingToLink, IdentityTaken, AddressTaken, _TOO_MANY_TRIES),
        },
    )
    async def link(
        body: RedeemCode,
        response: Response,
        browser: Annotated[str, Depends(front.browser_of)],
        linking: LinkingCookie = None,
        before: SessionCookie = None,
    ) -> SessionView:
        if linking is None or desk.vault is None:
            raise NothingToLink
        async with database.transaction() as conn:  # The try is counted for good before the code is judged.
            attempt = await attempts.count(
                conn, body.challenge_id, Purpose.LINK, browser=browser, limits=front.limits, keys=keys
            )
        reach("api.counted")
        async with database.transaction() as conn:
            token = await links.link(
                conn,
                attempt,
                body.code,
                linking,
                keys=keys,
                chance=front.chance,
                vault=desk.vault,
                replacing=before,
            )
            session = await sessions.current(conn, token, keys=keys)
        delete_cookie(response, LINKING)
        return show_to(response, token, session)


def _add_page(routes: APIRouter, front: Front, desk: Desk) -> None:
    words = Words()

    @routes.get("/account", summary="Show the page of one's own account")
    async def show_account(caller: LoggedIn, request: Request) -> AccountPage:
        language = pages.language_of(request)
        page = await _page_of(front, caller.account_id)
        async with front.database.transaction() as conn:
            found = await identities.find_identities(conn, _known(caller.account_id))
        shown = []
        for each in found:
            title = _title(desk, each.provider, language)
            shown.append(
                LinkedIdentity(
                    id=each.id,
                    provider=each.provider,
                    title=title,
                    text=words.say(LINKED, language, provider=title),
                    activated_at=each.activated_at,
                    question=words.say(REMOVE, language),
                )
            )
        return AccountPage(
            email=page.address,
            full_name=page.full_name,
            country=page.country,
            language=page.language,
            mobile=page.mobile,
            has_password=page.has_password,
            electronic_ids=shown,
        )

    @routes.put(
        "/account/mobile", status_code=204, summary="Change one's mobile number", responses=refused(WrongMobile)
    )
    async def change_mobile(body: NewMobile, caller: LoggedIn) -> None:
        mobile = None if body.mobile is None else links.read_mobile(body.mobile)
        async with front.database.transaction() as conn:
            await store.replace_mobile(conn, _known(caller.account_id), mobile)


def _add_removing(routes: APIRouter, front: Front, hashing: Hashing) -> None:
    database, keys = front.database, front.keys

    @routes.post(
        "/identity-links/removal-codes", status_code=202, summary="Ask for a code to remove an electronic ID with"
    )
    async def ask_to_unlink(
        caller: LoggedIn, request: Request, browser: Annotated[str, Depends(front.browser_of)]
    ) -> AskedCode:
        source = front.source_of(request)
        page = await _page_of(front, caller.account_id)
        async with database.transaction() as conn:
            challenge = await challenges.ask(
                conn,
                Login(page.address),
                Purpose.UNLINK,
                browser=browser,
                source=source,
                limits=front.limits,
                keys=keys,
                chance=front.chance,
            )
        return show_asked(challenge, front)

    @routes.delete(
        "/identity-links/{identity_id}",
        status_code=204,
        summary="Remove an electronic ID",
        responses=refused(
            NoSuchLink,
            PasswordNeeded,
            CodeNeeded,
            WrongPassword,
            WrongCode,
            _TOO_MANY_TRIES,
            _TOO_MANY_PASSWORDS,
            Busy(retry_after=BUSY_SECONDS),
        ),
    )
    async def unlink(
        identity_id: IdentityId,
        body: Removal,
        caller: LoggedIn,
        request: Request,
        browser: Annotated[str, Depends(front.browser_of)],
    ) -> None:
        account_id, session_id = _known(caller.account_id), _known(caller.session_id)
        if (await _page_of(front, account_id)).has_password:
            await _confirm_by_password(front, hashing, account_id, body, browser, front.source_of(request))
            async with database.transaction() as conn:
                await links.unlink(conn, identity_id, account_id, session_id=session_id)
            return
        if body.challenge_id is None or body.code is None:
            raise CodeNeeded
        async with database.transaction() as conn:
            attempt = await attempts.count(
                conn, body.challenge_id, Purpose.UNLINK, browser=browser, limits=front.limits, keys=keys
            )
        reach("api.counted")
        async with database.transaction() as conn:
            if await attempts.use(conn, attempt, body.code, keys=keys) != account_id:
                raise NotLoggedIn
            await links.unlink(conn, identity_id, account_id, session_id=session_id)


async def _confirm_by_password(  # noqa: PLR0913, PLR0917 -- whose, what, and from where.
    front: Front, hashing: Hashing, account_id: UUID, body: Removal, browser: str, source: str
) -> None:
    if body.password is None:
        raise PasswordNeeded
    async with hashing.slot() as slot:
        async with front.database.transaction() as conn:  # Counted for good before it is compared.
            guess = await passwords.count_own(
                conn, account_id, browser=browser, source=source, limits=front.limits, keys=front.keys
            )
        reach("passwords.counted")
        renewed = await slot.compare(guess.account_id, body.password, guess.kept)
    if renewed is None:
        raise WrongPassword
    async with front.database.transaction() as conn:
        await passwords.confirm(conn, guess, renewed)


async def _page_of(front: Front, account_id: UUID | None) -> Page:
    async with front.database.transaction() as conn:
        page = await store.find_page(conn, _known(account_id))
    if page is None:
        raise NotLoggedIn
    return page


def _known(found: UUID | None) -> UUID:
    """Give what a person who is logged in has; raises `NotLoggedIn` for a system."""
    if found is None:
        raise NotLoggedIn
    return found


def _title(desk: Desk, name: str, language: Language) -> str:
    """Give what a provider is called; its name, where it is configured no more."""
    provider = desk.providers.find(name)
    return name if provider is None else provider.profile.titles.of(language)
