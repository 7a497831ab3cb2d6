"""The HTTP edge of what the caller is and may do, of organisations, and of the union's company users (U28-U30)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict

from chassis import access
from chassis.access import Caller
from chassis.openapi import refused
from chassis.scope import STAFF, SYSTEM
from chassis.texts import Language
from contracts.rights import GROUPS, MANAGE_COMPANY_USERS, MANAGE_USERS, Grantor
from services.auth import cursors
from services.auth.errors import WrongCursor
from services.auth.front import Front
from services.auth.organisations import store as organisations_store
from services.auth.organisations.errors import NoSuchOrganisation, OrganisationClosed
from services.auth.people.addresses import TypedAddress
from services.auth.people.errors import AddressTaken, NoSuchAccount
from services.auth.rights import grants
from services.auth.rights import store as rights
from services.auth.rights.errors import NoSuchUser, OwnRights, SupportMayNot, WrongKindOfOrganisation
from services.auth.users import company_users, store
from services.auth.users.users import NewUser
from services.auth.users.users_api import Cursor, Limit, OrganisationId, giver_of, organisation_of
from services.auth.users.views import (
    CURSOR,
    ORGANISATION,
    USER,
    AcceptLanguage,
    Me,
    OrganisationView,
    RightsGroupList,
    RightsGroupView,
    TypedName,
    acts_for_view,
    language_for,
    organisation_view,
)

AccountId = Annotated[UUID, Path(description="who acts for the company: `account_id` in the list")]
ManagesCompanyUsers = Annotated[Caller, access.needs(right=MANAGE_COMPANY_USERS, sees=STAFF)]
_SORT = "name"


class OrganisationPage(BaseModel):
    """Some organisations, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [ORGANISATION], "next_cursor": CURSOR}})
    items: list[OrganisationView]
    next_cursor: str | None


class CompanyUserBody(BaseModel):
    """Who shall act for the company; name and language are for a person who is new here."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"address": "kari@example.no", "full_name": "Kari Nordmann", "language": "nb"}},
    )
    address: TypedAddress
    full_name: TypedName | None = None
    language: Language = Language.NB


_COMPANY_USER: dict[str, Any] = {
    "account_id": USER["id"],
    "address": "kari@example.no",
    "full_name": "Kari Nordmann",
    "active": True,
    "granted_at": "2026-01-31T12:00:00Z",
}


class CompanyUserView(BaseModel):
    """Somebody whom the union lets act for a company."""

    model_config = ConfigDict(json_schema_extra={"example": _COMPANY_USER})
    account_id: UUID
    address: str
    full_name: str | None
    active: bool
    granted_at: datetime


class CompanyUserPage(BaseModel):
    """Some company users, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_COMPANY_USER], "next_cursor": CURSOR}})
    items: list[CompanyUserView]
    next_cursor: str | None


class Admitted(BaseModel):
    """The account that may act for the company now."""

    model_config = ConfigDict(json_schema_extra={"example": {"account_id": USER["id"]}})
    account_id: UUID


def add_routes(routes: APIRouter, front: Front) -> None:
    """Add these routes."""
    _add_own(routes, front)
    _add_organisations(routes, front)
    _add_company_users(routes, front)


def _add_own(routes: APIRouter, front: Front) -> None:
    @routes.get(
        "/me", summary="Show who one is, and for which organisations one may act", responses=refused(NoSuchAccount)
    )
    async def show_me(
        caller: Annotated[Caller, access.needs(organisation=False, sees=SYSTEM)], accept_language: AcceptLanguage = None
    ) -> Me:
        assert caller.account_id is not None  # noqa: S101 -- `needs` refuses systems.
        async with front.database.transaction() as conn:
            own = await store.find_own(conn, caller.account_id)
            if own is None:
                raise NoSuchAccount
            acts_for = await rights.find_organisations_of(conn, caller.account_id)
            home = own.organisation_id and await organisations_store.find_organisation(conn, own.organisation_id)
        language = language_for(accept_language)
        return Me(
            account_id=own.id,
            address=own.address,
            user_name=own.user_name,
            full_name=own.full_name,
            language=Language(own.language),
            home=organisation_view(home) if home else None,
            organisations=[acts_for_view(each, language) for each in acts_for],
        )

    @routes.get("/rights-groups", summary="List the rights that there are")
    async def list_rights_groups(
        caller: Annotated[Caller, access.needs()], accept_language: AcceptLanguage = None
    ) -> RightsGroupList:
        """List the rights that there are in an organisation like the caller's."""
        async with front.database.transaction() as conn:
            own = await organisations_store.find_organisation(conn, organisation_of(caller))
        language, manages = language_for(accept_language), caller.may(MANAGE_USERS)
        return RightsGroupList(
            items=[
                RightsGroupView(
                    name=group.name,
                    title=group.title[language.value],
                    grantable=manages and Grantor.SUPERUSER in group.granted_by,
                )
                for group in GROUPS
                if own is not None and group.kind is own.kind
            ]
        )


def _add_organisations(routes: APIRouter, front: Front) -> None:
    @routes.get(
        "/organisations",
        summary="Find customers' organisations by name or number",
        responses=refused(WrongCursor),
        dependencies=[access.needs(organisation=False)],
    )
    async def find_organisations(
        text: Annotated[str, Query(min_length=2, max_length=100, description="part of the name, or the number")],
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> OrganisationPage:
        """Find organisations of customers: they stand in public registers, so whoever has signed in may look."""
        after = None if cursor is None else cursors.read_cursor(cursor, _SORT)
        async with front.database.transaction() as conn:
            found = await organisations_store.find_organisations_called(
                conn, text.strip(), after=after, limit=limit + 1
            )
        shown = found[:limit]
        more = cursors.write(_SORT, shown[-1].name, shown[-1].id) if len(found) > limit else None
        return OrganisationPage(items=[organisation_view(each) for each in shown], next_cursor=more)


def _add_company_users(routes: APIRouter, front: Front) -> None:
    path = "/organisations/{organisation_id}/company-users"
    refusals = (NoSuchOrganisation, WrongKindOfOrganisation, SupportMayNot)

    @routes.get(path, summary="List a company's users in the union's portal", responses=refused(WrongCursor))
    async def list_company_users(
        organisation_id: OrganisationId, _: ManagesCompanyUsers, cursor: Cursor = None, limit: Limit = 50
    ) -> CompanyUserPage:
        async with front.database.transaction() as conn:
            found, more = await company_users.page(conn, organisation_id, cursor=cursor, limit=limit)
        items = [
            CompanyUserView(
                account_id=each.account_id,
                address=each.address,
                full_name=each.full_name,
                active=each.active,
                granted_at=each.granted_at,
            )
            for each in found
        ]
        return CompanyUserPage(items=items, next_cursor=more)

    @routes.post(
        path,
        status_code=201,
        summary="Let whoever has an address act for a company",
        responses=refused(OrganisationClosed, OwnRights, AddressTaken, *refusals),
    )
    async def admit_company_user(
        organisation_id: OrganisationId, body: CompanyUserBody, caller: ManagesCompanyUsers
    ) -> Admitted:
        """Give the right, and an account to whoever is new; the same again changes nothing."""
        async with front.database.transaction() as conn:
            account_id = await company_users.admit(
                conn,
                giver_of(caller, Grantor.UNION),
                organisation_id,
                NewUser(body.address, body.language.value, full_name=body.full_name),
            )
        return Admitted(account_id=account_id)

    @routes.put(
        path + "/{account_id}",
        status_code=204,
        summary="Let an account act for a company",
        responses=refused(OrganisationClosed, OwnRights, NoSuchUser, *refusals),
    )
    async def give_company(organisation_id: OrganisationId, account_id: AccountId, caller: ManagesCompanyUsers) -> None:
        async with front.database.transaction() as conn:
            giver = giver_of(caller, Grantor.UNION)
            await grants.give(conn, giver, account_id, organisation_id, company_users.GROUP)

    @routes.delete(
        path + "/{account_id}",
        status_code=204,
        summary="Let an account act for a company no more",
        responses=refused(NoSuchUser, *refusals),
    )
    async def take_company(organisation_id: OrganisationId, account_id: AccountId, caller: ManagesCompanyUsers) -> None:
        async with front.database.transaction() as conn:
            giver = giver_of(caller, Grantor.UNION)
            await grants.take(conn, giver, account_id, organisation_id, company_users.GROUP)
