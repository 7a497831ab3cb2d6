"""The HTTP edge of terms."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, scope
from chassis.access import Caller
from chassis.openapi import refused
from chassis.texts import Language, choose_language
from contracts.rights import BY_NAME
from services.auth.front import Front
from services.auth.rights import store as rights
from services.auth.terms import store, terms
from services.auth.terms.errors import NoSuchTerms, NotTicked, TermsChanged

Person = Annotated[Caller, access.needs(organisation=False, sees=scope.SYSTEM)]
TermsName = Annotated[str, Path(description="the terms' name, such as `unionfees.confidentiality`")]
_IN_A_LANGUAGE: dict[str, Any] = {
    "headers": {"Content-Language": {"schema": {"type": "string"}, "description": "The language of the text."}}
}


_NAME = "unionfees.confidentiality"
_VIEW: dict[str, Any] = {
    "name": _NAME,
    "version": "2",
    "pending": True,
    "accepted_version": "1",
    "accepted_at": "2026-01-31T12:00:00Z",
}


class TermsView(BaseModel):
    """How you stand to terms."""

    model_config = ConfigDict(json_schema_extra={"example": _VIEW})
    name: str
    version: Annotated[str | None, Field(description="the version in force; null while no text is published")]
    pending: Annotated[bool, Field(description="they are to be accepted before the service can be used")]
    accepted_version: str | None
    accepted_at: datetime | None


class TermsList(BaseModel):
    """All terms that come before the services in which you have rights."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_VIEW]}})
    items: list[TermsView]


class TermsText(BaseModel):
    """The text in force, to be shown as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": _NAME,
                "version": "1",
                "language": "nb",
                "text": "Taushetserklæring\n\nDet jeg ser om medlemmer, forteller jeg ikke videre.",
                "consent": "Jeg har lest og godtar taushetserklæringen.",
                "published_at": "2026-01-31T12:00:00Z",
            }
        }
    )
    name: str
    version: str
    language: str
    text: str
    consent: Annotated[str, Field(description="the sentence beside the tick (U12)")]
    published_at: datetime


class Accept(BaseModel):
    """What was read, and whether the tick is set: without it nothing happens (U13)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"version": "1", "accepted": True}})
    version: Annotated[str, Field(max_length=100)]
    accepted: bool = False


class Acceptance(BaseModel):
    """What you have accepted, and when you did so first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": _NAME, "version": "1", "accepted_at": "2026-01-31T12:00:00Z"}}
    )
    name: str
    version: str
    accepted_at: datetime


def router(front: Front) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/v1", tags=["terms"])
    _add_reading(routes, front)
    _add_accepting(routes, front)
    return routes


def _add_reading(routes: APIRouter, front: Front) -> None:
    database = front.database

    @routes.get("/terms", summary="List the terms that come before one's services")
    async def list_terms(caller: Person) -> TermsList:
        """List all terms that come before the services in which one has rights, with how one stands to each."""
        assert caller.account_id is not None  # noqa: S101 -- the need lets no system in.
        async with database.transaction() as conn:
            acts_for = await rights.find_organisations_of(conn, caller.account_id)
            services = {BY_NAME[name].service for each in acts_for for name in each.groups if name in BY_NAME}
            found = await terms.standings(conn, caller.account_id, services)
        return TermsList(items=[_view(each) for each in found])

    @routes.get(
        "/terms/{name}",
        summary="Show the text of terms",
        responses={200: _IN_A_LANGUAGE, **refused(NoSuchTerms)},
    )
    async def show_terms(name: TermsName, _: Person, request: Request, response: Response) -> TermsText:
        """Show the text in force in the language that is asked for, or in the first of nb, nn and en that it has."""
        language = choose_language(", ".join(request.headers.getlist("accept-language")) or None, Language.NB)
        async with database.transaction() as conn:
            found = await terms.text(conn, name, language)
        response.headers["Content-Language"] = found.language
        return TermsText(
            name=found.name,
            version=found.version,
            language=found.language,
            text=found.text,
            consent=found.consent,
            published_at=found.published_at,
        )


def _add_accepting(routes: APIRouter, front: Front) -> None:
    @routes.post(
        "/terms/{name}/acceptances",
        summary="Accept terms",
        responses=refused(NoSuchTerms, TermsChanged, NotTicked),
    )
    async def accept_terms(name: TermsName, body: Accept, caller: Person) -> Acceptance:
        """Accept the version that was read, if it is the one in force; the same again changes nothing."""
        assert caller.account_id is not None  # noqa: S101 -- the need lets no system in.
        async with front.database.transaction() as conn:
            accepted_at = await terms.accept(conn, caller.account_id, name, body.version, ticked=body.accepted)
        return Acceptance(name=name, version=body.version, accepted_at=accepted_at)


def _view(standing: store.Standing) -> TermsView:
    return TermsView(
        name=standing.name,
        version=standing.version,
        pending=standing.accepted is None,
        accepted_version=standing.accepted,
        accepted_at=standing.accepted_at,
    )
