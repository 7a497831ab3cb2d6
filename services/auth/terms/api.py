"""The HTTP edge of terms."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, scope
from chassis.access import Caller
from chassis.texts import Language, choose_language
from contracts.rights import BY_NAME
from services.auth.front import Front
from services.auth.rights import store as rights
from services.auth.terms import store, terms

Person = Annotated[Caller, access.needs(organisation=False, sees=scope.SYSTEM)]


class TermsView(BaseModel):
    """How you stand to terms."""

    name: str
    version: Annotated[str | None, Field(description="the version in force; null while no text is published")]
    pending: Annotated[bool, Field(description="they are to be accepted before the service can be used")]
    accepted_version: str | None
    accepted_at: datetime | None


class TermsList(BaseModel):
    """All terms that come before the services in which you have rights."""

    items: list[TermsView]


class TermsText(BaseModel):
    """The text in force, to be shown as it is."""

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

    @routes.get("/terms")
    async def list_terms(caller: Person) -> TermsList:
        assert caller.account_id is not None  # noqa: S101 -- the need lets no system in.
        async with database.transaction() as conn:
            acts_for = await rights.find_organisations_of(conn, caller.account_id)
            services = {BY_NAME[name].service for each in acts_for for name in each.groups if name in BY_NAME}
            found = await terms.standings(conn, caller.account_id, services)
        return TermsList(items=[_view(each) for each in found])

    @routes.get("/terms/{name}", responses={404: {"description": "No terms of this name have a text."}})
    async def show_terms(name: str, _: Person, request: Request, response: Response) -> TermsText:
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
        responses={
            404: {"description": "There are no terms of this name."},
            409: {"description": "Another version is in force."},
            422: {"description": "The tick is not set: nothing is accepted."},
        },
    )
    async def accept_terms(name: str, body: Accept, caller: Person) -> Acceptance:
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
