"""Access: who is calling, what a route needs of the caller, and whose rows the request may then see (sec-A10, sec-A11).

Every route declares one of two: `caller: Annotated[Caller, access.needs(right="cases.read")]`, or
`dependencies=[access.anyone("why nobody signs in for this")]`. An app with a route that declares neither does not start.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request, params
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException

from chassis import openapi, scope, tokens
from chassis.errors import Kind, Misconfigured, Refusal
from chassis.scope import Scope
from chassis.settings import ServiceSettings
from chassis.tokens import Assurance as Assurance
from chassis.tokens import BadToken, Claims, Verifier
from chassis.voids import Voids

log = structlog.get_logger()


class NotSignedIn(Refusal):
    """You are not signed in.

    Sign in, and do this again.
    """

    kind = Kind.UNAUTHENTICATED


class TokenRefused(NotSignedIn):
    """You are not signed in any more.

    Sign in again. A program asks for a new access token for this service.
    """

    @property
    def challenge(self) -> str:
        return 'Bearer error="invalid_token"'


class RightMissing(Refusal):
    """You do not have the right to do this.

    Those who administer the users of your organisation can give it to you. It is called {right}.
    """

    kind = Kind.FORBIDDEN


class NoOrganisationChosen(Refusal):
    """It is not chosen which organisation you act for.

    Choose one first.
    """

    kind = Kind.FORBIDDEN


class AssuranceTooLow(Refusal):
    """This needs a surer sign-in than by a code or a password.

    Sign in with ID-porten or BankID, and do this again. The level that is needed: {assurance}.
    """

    kind = Kind.FORBIDDEN

    @property
    def challenge(self) -> str:
        """Say how to step up (RFC 9470)."""
        return f'Bearer error="insufficient_user_authentication", acr_values="{self.facts["assurance"]}"'


class TermsNotAccepted(Refusal):
    """There are terms to accept before this can be done.

    Read and accept them first: {terms}.
    """

    kind = Kind.FORBIDDEN


class NotForSystems(Refusal):
    """This is for people who have signed in.

    A system cannot do it.
    """

    kind = Kind.FORBIDDEN


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a person by `account_id` in a session, or a system by its name; and what they may do.

    `organisation_id` is the organisation that they act for, if one was chosen. `rights` are those of this service there.
    `terms` are the versions of the terms that they have accepted, as far as these still suffice.
    """

    account_id: UUID | None = None
    system: str | None = None
    session_id: UUID | None = None
    organisation_id: UUID | None = None
    rights: frozenset[str] = frozenset()
    assurance: Assurance = Assurance.LOW
    terms: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name the caller among all others: for records of who did what."""
        return f"account:{self.account_id}" if self.system is None else f"system:{self.system}"

    @property
    def acting(self) -> str:
        """Name the caller and whom they act for: for idempotency keys, whose answers are of that organisation (U30)."""
        return f"{self.name} for {self.organisation_id}"

    def may(self, right: str) -> bool:
        """Tell whether they have a right, where having it makes a difference within a route."""
        return right in self.rights


Authenticator = Callable[[Request], Awaitable[Caller]]
"""Finds out who sends a request; raises `NotSignedIn`."""


class Need(SecurityBase):
    """What a route needs of its caller; FastAPI calls it before the route."""

    def __init__(  # noqa: PLR0913 -- a need's parts, each by its name.
        self,
        *,
        right: str | None,
        assurance: Assurance,
        terms: Collection[str],
        organisation: bool,
        systems: bool,
        sees: Scope | None,
    ) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="An access token of auth for this service.")
        self.scheme_name = "bearer"
        self._right, self._assurance, self._terms = right, assurance, terms
        self._organisation, self._systems, self._sees = organisation, systems, sees

    async def __call__(self, request: Request) -> Caller:
        """Give the caller, who has what is needed, and let the request see their rows; raises the refusals above."""
        with scope.entered(scope.SYSTEM):  # Whose rows they may see is known once it is known who they are.
            caller: Caller = await request.app.state.authenticator(request)
        self.check(caller)
        scope.enter(self._scope_of(caller))
        return caller

    def check(self, caller: Caller) -> None:
        """Raise the refusal that says what is missing first, in the order in which a person can mend it."""
        if caller.system is None:
            self._check_person(caller)
        elif not self._systems:
            raise NotForSystems
        if self._organisation and caller.organisation_id is None:
            raise NoOrganisationChosen
        if self._right is not None and not caller.may(self._right):
            raise RightMissing(right=self._right)

    def _check_person(self, caller: Caller) -> None:
        if missing := sorted(set(self._terms) - caller.terms.keys()):
            raise TermsNotAccepted(terms=", ".join(missing))
        if not caller.assurance.reaches(self._assurance):
            raise AssuranceTooLow(assurance=self._assurance.value)

    def _scope_of(self, caller: Caller) -> Scope | None:
        if self._sees is not None:
            return self._sees
        return None if caller.organisation_id is None else scope.organisation(caller.organisation_id)

    def describe(self) -> dict[str, Any]:
        """Say it in the route's OpenAPI: `x-needs`, and the answers to those who do not have it."""
        needs = {
            "right": self._right,
            "assurance": self._assurance.value,
            "terms": sorted(self._terms),
            "organisation": self._organisation,
            "systems": self._systems,
            "sees": "organisation" if self._sees is None else self._sees.setting,
        }
        refused = openapi.refused(NotSignedIn, TokenRefused, *self._refusals())
        return {"x-needs": needs, "responses": {str(status): response for status, response in refused.items()}}

    def _refusals(self) -> Iterator[Refusal | type[Refusal]]:
        if self._terms:
            yield TermsNotAccepted(terms=", ".join(sorted(self._terms)))
        if self._assurance is not Assurance.LOW:
            yield AssuranceTooLow(assurance=self._assurance.value)
        if not self._systems:
            yield NotForSystems
        if self._organisation:
            yield NoOrganisationChosen
        if self._right is not None:
            yield RightMissing(right=self._right)


class Anyone:
    """A route that is for everybody; `why` is told in its OpenAPI."""

    def __init__(self, why: str, sees: Scope | None) -> None:
        self.why = why
        self._sees = sees

    async def __call__(self) -> None:
        """Let the request see the rows that the route was declared to need, or none."""
        scope.enter(self._sees)

    def describe(self) -> dict[str, Any]:
        return {"x-needs": {"anyone": self.why}}


def needs(  # noqa: PLR0913 -- a need's parts, each by its name.
    *,
    right: str | None = None,
    assurance: Assurance = Assurance.LOW,
    terms: Collection[str] = (),
    organisation: bool = True,
    systems: bool = False,
    sees: Scope | None = None,
) -> params.Depends:
    """Declare what a route needs of its caller: a person who has signed in, and acts for an organisation, at the least.

    `right` is one of this service's; `terms` are the names of those to be accepted first. Without `organisation` it need not
    be chosen which one the caller acts for. With `systems` also a system may call, of which neither assurance nor terms are
    asked. The request sees the rows of the caller's organisation, or what `sees` says instead: `scope.STAFF` for caseworkers
    and the union, `scope.SYSTEM` for what belongs to no organisation.
    """
    need = Need(right=right, assurance=assurance, terms=terms, organisation=organisation, systems=systems, sees=sees)
    return params.Depends(need)


def anyone(why: str, *, sees: Scope | None = None) -> params.Depends:
    """Declare that everybody may call a route, and why; its request sees no organisation's rows unless `sees` says which."""
    return params.Depends(Anyone(why, sees))


class Bearer:
    """Knows callers by the access token that they bring (RFC 6750)."""

    def __init__(self, verifier: Verifier, voids: Voids) -> None:
        self._verifier = verifier
        self._voids = voids

    async def __call__(self, request: Request) -> Caller:
        """Give the caller; raises `NotSignedIn` without a token, `TokenRefused` for one that is not good."""
        return caller_of(self.claims(request))

    def claims(self, request: Request) -> Claims:
        """Give what the request's token says; raises as above, and 503 until it is known which tokens are void."""
        token = _token(request.headers.getlist("authorization"))
        if not self._voids.loaded:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "1"})
        try:
            claims = self._verifier.verify(token)
        except BadToken as error:
            log.info("token_refused", reason=str(error))
            raise TokenRefused from None
        if self._voids.hold(claims):
            log.info("token_refused", reason="void", session_id=str(claims.session_id))
            raise TokenRefused
        return claims


def _token(headers: Sequence[str]) -> str:
    if len(headers) > 1:
        raise TokenRefused
    scheme, _, token = "".join(headers).partition(" ")
    if scheme.lower() != "bearer":
        raise NotSignedIn
    return token.strip(" ")


def caller_of(claims: Claims) -> Caller:
    """Say who brings a token."""
    return Caller(
        account_id=claims.account_id,
        system=claims.system,
        session_id=claims.session_id,
        organisation_id=claims.organisation_id,
        rights=claims.rights,
        assurance=claims.assurance,
        terms=claims.terms,
    )


def bearer(settings: ServiceSettings, service: str, voids: Voids) -> Bearer:
    """Make the check of tokens that are for this service; raises `Misconfigured` where it is not told whose are good."""
    if settings.token_keys is None or settings.token_issuer is None:
        raise Misconfigured(
            f"{service} cannot start: its routes need to know their callers, "
            "so SAMBAND_TOKEN_KEYS and SAMBAND_TOKEN_ISSUER must be set"
        )
    verifier = Verifier(
        tokens.read_keys(settings.token_keys),
        issuer=settings.token_issuer,
        audience=service,
        clock_skew=settings.clock_skew_seconds,
    )
    return Bearer(verifier, voids)


def declare(routers: Sequence[APIRouter]) -> bool:
    """Write what each route needs into its OpenAPI; tells whether any needs a caller.

    Raises `Misconfigured` naming every route that declares not exactly one of `needs` and `anyone`.
    """
    faults, needing = [], False
    for router in routers:
        for path, route, declared in _declared(router):
            if len(declared) != 1 or route is None:
                faults.append(f"{path} declares {'neither' if not declared else 'more than one'}")
                continue
            route.openapi_extra = {**(route.openapi_extra or {}), **declared[0].describe()}
            needing = needing or isinstance(declared[0], Need)
    if faults:
        raise Misconfigured(
            "every route says by access.needs or by access.anyone who may call it, by one of them: "
            + "; ".join(sorted(faults))
        )
    return needing


def _declared(router: APIRouter) -> Iterator[tuple[str, APIRoute | None, list[Need | Anyone]]]:
    """Give each route's methods and path, itself where it is one that can declare anything, and what it declares."""
    for context in iter_route_contexts(router.routes):
        route = context.original_route
        path = f"{' '.join(sorted(getattr(route, 'methods', None) or ['?']))} {context.path}"
        if not isinstance(route, APIRoute):
            yield path, None, []
            continue
        calls = [dependant.call for dependant in _below(context.dependant)]
        yield path, route, [call for call in calls if isinstance(call, Need | Anyone)]


def _below(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each
        yield from _below(each)
