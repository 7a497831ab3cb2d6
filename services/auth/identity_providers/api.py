"""The HTTP edge of log-ins by a provider: begun here, proven there, completed when the browser comes back (sec-A13)."""

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, problems
from chassis.errors import Misconfigured
from chassis.failpoints import reach
from chassis.openapi import Responses, refused
from chassis.scope import SYSTEM
from chassis.texts import Language
from chassis.tokens import Assurance
from services.auth import telemetry
from services.auth.front import (
    LINKING,
    SESSION,
    SETS_SESSION,
    BrowserCookie,
    Front,
    SessionCookie,
    delete_cookie,
    set_cookie,
)
from services.auth.identities.vault import Vault
from services.auth.identity_providers import log_ins, pages
from services.auth.identity_providers.calls import Caller
from services.auth.identity_providers.errors import (
    AccountClosed,
    AssuranceNotReached,
    LogInCancelled,
    LogInFailed,
    LogInOver,
    NoSuchProvider,
    NumberMissing,
    ProviderDistrusted,
    ProviderUnavailable,
    TooManyLogIns,
)
from services.auth.identity_providers.id_tokens import UnknownKey
from services.auth.identity_providers.log_ins import LoggedIn, Unlinked, Wanted
from services.auth.identity_providers.pages import Pages
from services.auth.identity_providers.profiles import Provider, Providers
from services.auth.identity_providers.relying_party import Answer, Attempt, RelyingParty
from services.auth.keys import Chance
from services.auth.sessions import sessions
from services.auth.sessions.errors import NotLoggedIn
from services.auth.settings import AuthSettings

log = structlog.get_logger()

PROOF_SECONDS = 15 * 60
SEE_OTHER = 303
ReturnTo = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^/([\x21-\x2e\x30-\x5b\x5d-\x7e][\x21-\x5b\x5d-\x7e]*)?$",
        description="path to go to afterwards, on this site alone",
    ),
]
ProviderName = Annotated[str, Path(description="the provider: `name` in the list")]
State = Annotated[str | None, Query(max_length=4_000, description="which log-in it is, as it was begun")]
Code = Annotated[str | None, Query(max_length=4_000, description="what the provider gives for the log-in")]
Issuer = Annotated[str | None, Query(max_length=4_000, description="who answers (RFC 9207)")]
Failure = Annotated[str | None, Query(max_length=4_000, description="why the provider logged nobody in")]


@dataclass(frozen=True, slots=True)
class Desk:
    """Who speaks with providers, and what keeps what they tell."""

    providers: Providers
    party: RelyingParty
    vault: Vault | None
    """None where there is no provider."""

    def provider(self, name: str) -> tuple[Provider, Vault]:
        """Give a provider; raises `NoSuchProvider`."""
        found = self.providers.find(name)
        if found is None or self.vault is None:
            raise NoSuchProvider
        return found, self.vault


def desk_of(settings: AuthSettings, chance: Chance, caller: Caller | None = None) -> Desk:
    """Read all that the settings name; raises `Misconfigured` for what is missing or not right."""
    providers = Providers.load(settings.identity_providers)
    if not [*providers]:
        return Desk(providers, RelyingParty(caller or Caller(), chance, base_url=""), None)
    if settings.identity_keys is None or settings.public_url is None:
        raise Misconfigured(
            "auth cannot start: with an identity provider, SAMBAND_IDENTITY_KEYS and SAMBAND_PUBLIC_URL must be set"
        )
    party = RelyingParty(caller or Caller(), chance, base_url=str(settings.public_url))
    return Desk(providers, party, Vault.load(settings.identity_keys))


_PROVIDER = {"name": "id-porten", "title": "ID-porten"}


class ProviderView(BaseModel):
    """A way to log in, as the log-in page shows it (I3)."""

    model_config = ConfigDict(json_schema_extra={"example": {**_PROVIDER}})
    name: str
    title: str


class ProviderViews(BaseModel):
    """All ways to log in with an electronic ID."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [{**_PROVIDER}]}})
    items: list[ProviderView]


class BeginLogIn(BaseModel):
    """Where to go afterwards, and how sure the log-in must be."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"return_to": "/", "assurance": "high"}})
    return_to: ReturnTo = "/"
    assurance: Annotated[Assurance, Field(description="at least so sure; low asks for nothing particular")] = (
        Assurance.LOW
    )


class BegunLogIn(BaseModel):
    """A log-in that goes on at the provider, within ten minutes, in this browser."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"redirect_url": "https://login.provider.example/authorize?request_uri=urn:7"}}
    )
    redirect_url: Annotated[str, Field(description="where the browser goes now")]


class LogOutView(BaseModel):
    """What is left of a log-out."""

    model_config = ConfigDict(json_schema_extra={"example": {"redirect_url": "https://login.provider.example/logout"}})
    redirect_url: Annotated[
        str | None, Field(description="where the browser goes to end the provider's own session too; null: nowhere")
    ]


@dataclass(frozen=True, slots=True)
class Returned:
    """What the browser comes back with: each parameter at most once."""

    request: Request
    state: str | None
    answer: Answer

    @classmethod
    def read(
        cls, request: Request, state: State = None, code: Code = None, iss: Issuer = None, error: Failure = None
    ) -> "Returned":
        return cls(request, state, Answer(code, iss, error))

    def check(self) -> None:
        names = [name for name, _ in self.request.query_params.multi_items()]
        if len(set(names)) != len(names):
            raise ProviderDistrusted("the answer says something twice")


def router(front: Front, desk: Desk) -> APIRouter:
    """Make the routes."""
    why = "Whoever logs in is not signed in yet."
    routes = APIRouter(prefix="/v1", tags=["electronic ID"], dependencies=[access.anyone(why, sees=SYSTEM)])
    _add_beginning(routes, front, desk)
    _add_callback(routes, front, desk)
    _add_log_outs(routes, front, desk)
    return routes


def _add_beginning(routes: APIRouter, front: Front, desk: Desk) -> None:
    @routes.get("/identity-providers", summary="List the ways to log in with an electronic ID")
    async def list_identity_providers(request: Request) -> ProviderViews:
        language = pages.language_of(request)
        items = [ProviderView(name=each.name, title=each.profile.titles.of(language)) for each in desk.providers]
        return ProviderViews(items=items)

    @routes.post(
        "/identity-providers/{name}/log-ins",
        status_code=201,
        summary="Begin a log-in with an electronic ID",
        responses=refused(
            NoSuchProvider, TooManyLogIns(retry_after=log_ins.HOUR), ProviderDistrusted(""), ProviderUnavailable("")
        ),
    )
    async def begin_log_in(
        name: ProviderName, body: BeginLogIn, request: Request, browser: Annotated[str, Depends(front.browser_of)]
    ) -> BegunLogIn:
        """Note what is wanted, and say where the browser goes to prove who uses it."""
        provider, _ = desk.provider(name)
        language = pages.language_of(request)
        attempt = Attempt(front.chance.token(), browser, front.keys)
        wanted = Wanted(body.assurance, language, body.return_to)
        source = front.source_of(request)
        async with front.database.transaction() as conn:
            await log_ins.begin(conn, provider, attempt, wanted, source=source, limits=front.limits)
        reach("providers.begun")
        try:
            return BegunLogIn(redirect_url=await desk.party.begin(provider, attempt, wanted.assurance, language))
        except LogInFailed as failure:
            _note(name, failure)
            raise


def _add_callback(routes: APIRouter, front: Front, desk: Desk) -> None:
    told = Pages(front.settings.log_in_page)

    @routes.get(
        "/identity-providers/{name}/callback",
        status_code=SEE_OTHER,
        response_class=RedirectResponse,
        summary="Come back from a provider",
        responses={303: SETS_SESSION, **_failed()},
    )
    async def come_back(
        name: ProviderName,
        returned: Annotated[Returned, Depends(Returned.read)],
        browser: BrowserCookie = None,
        before: SessionCookie = None,
    ) -> Response:
        """Complete what this browser began: the session's cookie is set, or whoever is unknown is sent to be linked.

        A browser that shows the answer to a person is given a refusal as a page.
        """
        provider, vault = desk.provider(name)
        try:
            return await _complete(front, desk.party, provider, vault, returned, browser, before)
        except LogInFailed as failure:
            _note(name, failure)
            if not pages.wants_page(returned.request):
                raise
            return told.failed(failure, pages.language_of(returned.request))


def _failed() -> Responses:
    """Describe how no log-in comes of it: a problem, or a page where a browser asks for one."""
    responses = refused(
        NoSuchProvider,
        LogInOver(""),
        LogInCancelled(""),
        ProviderUnavailable(""),
        ProviderDistrusted(""),
        UnknownKey(""),
        AssuranceNotReached(""),
        NumberMissing(""),
        AccountClosed(""),
    )
    for status in (403, 503):
        responses[status]["content"]["text/html"] = {"schema": {"type": "string"}}
    return responses


async def _complete(  # noqa: PLR0913, PLR0917 -- what came back, and with what it is completed.
    front: Front,
    party: RelyingParty,
    provider: Provider,
    vault: Vault,
    returned: Returned,
    browser: str | None,
    before: str | None,
) -> Response:
    returned.check()
    if browser is None or returned.state is None:
        raise LogInOver("no state, or a browser that never began a log-in")
    attempt = Attempt(returned.state, browser, front.keys)
    async with front.database.transaction() as conn:
        flow = await log_ins.come_back(conn, provider, attempt)
    token = await party.finish(provider, attempt, returned.answer, Assurance(flow.assurance))
    proven = log_ins.proven(provider, token, Language(flow.language))
    reach("providers.proven")
    async with front.database.transaction() as conn:
        outcome = await log_ins.complete(
            conn,
            proven,
            browser_digest=front.keys.digest("browser", browser),
            keys=front.keys,
            chance=front.chance,
            vault=vault,
            replacing=before,
        )
    match outcome:
        case LoggedIn(session):
            telemetry.LOG_INS.labels(method="provider", outcome="succeeded").inc()
            logged_in = RedirectResponse(flow.return_to, SEE_OTHER)
            set_cookie(logged_in, SESSION, session, sessions.SESSION_SECONDS)
            return logged_in
        case Unlinked(proof):
            unlinked = RedirectResponse(front.settings.link_page, SEE_OTHER)
            set_cookie(unlinked, LINKING, proof, PROOF_SECONDS)
            return unlinked


def _add_log_outs(routes: APIRouter, front: Front, desk: Desk) -> None:
    database = front.database

    @routes.post("/log-outs", summary="Log out, also at the provider", responses=refused(NotLoggedIn))
    async def log_out_everywhere(response: Response, session: SessionCookie = None) -> LogOutView:
        """End the session here, and say where the browser goes to end the provider's own."""
        if session is None:
            raise NotLoggedIn
        async with database.transaction() as conn:
            found = await sessions.current(conn, session, keys=front.keys)
            hint = None if desk.vault is None else await log_ins.hint_of(conn, found.id, desk.vault)
            await sessions.end(conn, session, keys=front.keys)
        delete_cookie(response, SESSION)
        provider = None if hint is None else desk.providers.find(hint[0])
        if hint is None or provider is None:
            return LogOutView(redirect_url=None)
        try:
            return LogOutView(redirect_url=await desk.party.log_out_url(provider, hint[1], front.settings.log_in_page))
        except LogInFailed as failure:  # The session here is over; that there ends by itself.
            log.warning("provider_log_out_skipped", provider=provider.name, reason=failure.reason)
            return LogOutView(redirect_url=None)

    @routes.get(
        "/identity-providers/{name}/front-channel-logout",
        response_class=HTMLResponse,
        summary="End the sessions that a provider has ended",
        responses=refused(NoSuchProvider),
    )
    async def log_out_from_there(
        name: ProviderName,
        iss: Annotated[str, Query(max_length=255, description="who says so: the provider's own name")],
        sid: Annotated[str, Query(min_length=1, max_length=255, description="the provider's session")],
    ) -> HTMLResponse:
        """End them; the provider shows this in a frame of its own page (OpenID Connect Front-Channel Logout)."""
        provider, _ = desk.provider(name)
        count = 0
        if provider.profile.front_channel_logout and iss == provider.issuer:
            async with database.transaction() as conn:
                count = await log_ins.end_named(conn, provider, sid)
        log.info("provider_ended_its_session", provider=name, sessions=count)
        return HTMLResponse("<!doctype html><title>-</title>")


def _note(name: str, failure: LogInFailed) -> None:
    """Note once that no session came of a log-in, and why: a constant, and nothing of the person."""
    telemetry.LOG_INS.labels(method="provider", outcome="refused").inc()
    problem = problems.type_of(type(failure))
    log.warning("provider_log_in_refused", provider=name, problem=problem, reason=failure.reason)
