"""The HTTP edge of imported duplicates, which superusers clear up (L17-L20)."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict

from chassis.openapi import refused
from services.auth import cursors
from services.auth.errors import WrongCursor
from services.auth.front import Front
from services.auth.people.addresses import TypedAddress
from services.auth.rights.errors import SupportMayNot
from services.auth.users import imports
from services.auth.users.errors import NoSuchDuplicate, NothingToChange
from services.auth.users.imports import Correction
from services.auth.users.users_api import (
    ETAG,
    GIVING,
    TAKEN,
    Cursor,
    Limit,
    ManagesUsers,
    giver_of,
    organisation_of,
    tagged,
)
from services.auth.users.views import CURSOR, AcceptLanguage, TypedUserName, UserView

DuplicateId = Annotated[UUID, Path(description="the duplicate: `id` in the list")]
_SORT = "id"


_DUPLICATE: dict[str, Any] = {
    "id": "0199a3e2-7c41-7d3a-9c0f-000000000006",
    "reason": "address_taken",
    "user_name": "kari.nordmann",
    "address": "kari@example.no",
    "full_name": "Kari Nordmann",
    "language": "nb",
    "active": True,
    "groups": ["cases.payroll"],
    "imported_at": "2026-01-31T12:00:00Z",
}


class DuplicateView(BaseModel):
    """An imported person who has no account: somebody has the address, or the user name."""

    model_config = ConfigDict(json_schema_extra={"example": _DUPLICATE})
    id: UUID
    reason: Literal["address_taken", "user_name_taken"]
    user_name: str | None
    address: str
    full_name: str | None
    language: str
    active: bool
    groups: list[str]
    imported_at: datetime


class DuplicatePage(BaseModel):
    """Some duplicates, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_DUPLICATE], "next_cursor": CURSOR}})
    items: list[DuplicateView]
    next_cursor: str | None


class Resolution(BaseModel):
    """Make the person a user, with another address or user name; what is not named stays as it was imported."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"address": "kari.n@example.no"}})
    address: TypedAddress | None = None
    user_name: TypedUserName | None = None


def add_routes(routes: APIRouter, front: Front) -> None:
    """Add these routes."""

    @routes.get("/import-duplicates", summary="List the imported duplicates", responses=refused(WrongCursor))
    async def list_duplicates(caller: ManagesUsers, cursor: Cursor = None, limit: Limit = 50) -> DuplicatePage:
        after = UUID(int=0) if cursor is None else cursors.read_cursor(cursor, _SORT)[1]
        async with front.database.transaction() as conn:
            found = await imports.page(conn, organisation_of(caller), after=after, limit=limit + 1)
        items = [DuplicateView.model_validate(each, from_attributes=True) for each in found[:limit]]
        more = cursors.write(_SORT, "", items[-1].id) if len(found) > limit else None
        return DuplicatePage(items=items, next_cursor=more)

    @routes.post(
        "/import-duplicates/{duplicate_id}/resolutions",
        status_code=201,
        summary="Make an imported duplicate a user",
        responses={201: ETAG, **refused(NoSuchDuplicate, NothingToChange, *TAKEN, *GIVING)},
    )
    async def resolve_duplicate(
        duplicate_id: DuplicateId,
        body: Resolution,
        caller: ManagesUsers,
        response: Response,
        accept_language: AcceptLanguage = None,
    ) -> UserView:
        """Make the person a user; the same address is good once whoever had it has another."""
        if not body.model_fields_set:
            raise NothingToChange
        correction = Correction(body.address, body.user_name)
        async with front.database.transaction() as conn:
            user = await imports.resolve(conn, giver_of(caller), organisation_of(caller), duplicate_id, correction)
        return tagged(response, user, accept_language)

    @routes.delete(
        "/import-duplicates/{duplicate_id}",
        status_code=204,
        summary="Drop an imported duplicate",
        responses=refused(NoSuchDuplicate, SupportMayNot),
    )
    async def drop_duplicate(duplicate_id: DuplicateId, caller: ManagesUsers) -> None:
        """Forget the person: they are the one who has the address already."""
        async with front.database.transaction() as conn:
            await imports.drop(conn, giver_of(caller), organisation_of(caller), duplicate_id)
