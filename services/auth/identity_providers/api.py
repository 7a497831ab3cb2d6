"""The HTTP edge of log-ins by a provider: begun here, proven there, completed when the browser comes back (sec-A13)."""

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, problems
from chassis.errors import Misconfigured
from chassis.failpoints import reach
from chassis.scope import SYSTEM
from chassis.texts import Language
from chassis.tokens import Assurance
from services.auth import telemetry
from services.auth.front import LINKING, SESSION, BrowserCookie, Front, SessionCookie, delete_cookie, set_cookie
from services.auth.identities.vault import Vault
from services.auth.identity_providers import log_ins, pages
from services.auth.identity_providers.calls import Caller
from services.auth.identity_providers.errors import LogInFailed, LogInOver, NoSuchProvider, ProviderDistrusted
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
Said = Annotated[str | None, Query(max_length=4_000)]


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


class ProviderView(BaseModel):
    """A way to log in, as the log-in page shows it (I3)."""

    name: str
    title: str


class ProviderViews(BaseModel):
    """All ways to log in with an electronic ID."""

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

    redirect_url: Annotated[str, Field(description="where the browser goes now")]


class LogOutView(BaseModel):
    """What is left of a log-out."""

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
        cls, request: Request, state: Said = None, code: Said = None, iss: Said = None, error: Said = None
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
    @routes.get("/identity-providers")
    async def list_identity_providers(request: Request) -> ProviderViews:
        language = pages.language_of(request)
        items = [ProviderView(name=each.name, title=each.profile.titles.of(language)) for each in desk.providers]
        return ProviderViews(items=items)

    @routes.post(
        "/identity-providers/{name}/log-ins",
        status_code=201,
        responses={
            403: {"description": "The provider gave an answer that cannot be trusted."},
            404: {"description": "There is no such provider."},
            429: {"description": "Too many log-ins have been begun from this network."},
            503: {"description": "The provider does not answer."},
        },
    )
    async def begin_log_in(
        name: str, body: BeginLogIn, request: Request, browser: Annotated[str, Depends(front.browser_of)]
    ) -> BegunLogIn:
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
        responses={
            403: {"description": "No log-in came of it; nothing has changed."},
            404: {"description": "There is no such provider."},
            503: {"description": "The provider does not answer."},
        },
    )
    async def come_back(
        name: str,
        returned: Annotated[Returned, Depends(Returned.read)],
        browser: BrowserCookie = None,
        before: SessionCookie = None,
    ) -> Response:
        provider, vault = desk.provider(name)
        try:
            return await _complete(front, desk.party, provider, vault, returned, browser, before)
        except LogInFailed as failure:
            _note(name, failure)
            if not pages.wants_page(returned.request):
                raise
            return told.failed(failure, pages.language_of(returned.request))


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

    @routes.post("/log-outs", responses={401: {"description": "Not logged in."}})
    async def log_out_everywhere(response: Response, session: SessionCookie = None) -> LogOutView:
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
        responses={404: {"description": "There is no such provider."}},
    )
    async def log_out_from_there(
        name: str,
        iss: Annotated[str, Query(max_length=255)],
        sid: Annotated[str, Query(min_length=1, max_length=255)],
    ) -> HTMLResponse:
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
