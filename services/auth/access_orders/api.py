"""The HTTP edge of orders for access: open to everybody, and answered alike whoever and whatever they name (C3, U29)."""

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from chassis import access
from chassis.access import Caller
from chassis.openapi import refused
from chassis.scope import SYSTEM
from chassis.texts import Language
from contracts.rights import Grantor
from services.auth import cursors
from services.auth.access_orders import access_orders
from services.auth.access_orders.access_orders import Decision, Wish
from services.auth.access_orders.errors import NoSuchOrder, TooManyOrders
from services.auth.errors import WrongCursor
from services.auth.front import Front
from services.auth.limits import network_of
from services.auth.organisations.errors import WrongNumber
from services.auth.organisations.numbers import Number, read_number
from services.auth.people.addresses import TypedAddress
from services.auth.people.errors import AddressTaken
from services.auth.rights.errors import NoSuchGroup, NoSuchUser, OwnRights
from services.auth.users.directory_api import ManagesCompanyUsers
from services.auth.users.users_api import GIVING, Cursor, Limit, ManagesUsers, giver_of, organisation_of
from services.auth.users.views import CURSOR, ORGANISATION, USER, Groups, TypedName

LONGEST_MESSAGE, LONGEST_REASON = 1_000, 500
_SORT = "id"
_WRITTEN = frozenset("\n\t")


def _number(text: str) -> Number:
    try:
        return read_number(text)
    except WrongNumber:
        raise ValueError("not an organisation number") from None


def _text(text: str) -> str:
    if any(unicodedata.category(each) in {"Cc", "Cf", "Cs"} and each not in _WRITTEN for each in text):
        raise ValueError("invisible characters")
    return text.strip()


TypedNumber = Annotated[Number, Field(max_length=20), AfterValidator(_number)]


class AccessOrderBody(BaseModel):
    """Who would like access to what, in one organisation, named by its id or by its number."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "address": "kari@example.no",
                "full_name": "Kari Nordmann",
                "organisation_number": "974760673",
                "groups": ["cases.payroll"],
                "message": "Jeg begynte i lønnsavdelingen 1. november.",
            }
        },
    )
    address: TypedAddress
    full_name: TypedName
    organisation_id: UUID | None = None
    organisation_number: TypedNumber | None = None
    groups: Annotated[Groups, Field(min_length=1)]
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE), AfterValidator(_text)] = ""
    language: Language = Language.NB

    @model_validator(mode="after")
    def _names_one_organisation(self) -> Self:
        if (self.organisation_id is None) == (self.organisation_number is None):
            raise ValueError("exactly one of organisation_id and organisation_number is given")
        return self


class OrderReceived(BaseModel):
    """The order was received. It goes to whoever may decide, if the organisation is known here."""

    model_config = ConfigDict(json_schema_extra={"example": {"ordered_at": "2026-01-31T12:00:00Z"}})
    ordered_at: datetime


_ORDER: dict[str, Any] = {
    "id": "0199a3e2-7c41-7d3a-9c0f-000000000005",
    "organisation_id": ORGANISATION["id"],
    "address": "kari@example.no",
    "full_name": "Kari Nordmann",
    "groups": ["cases.payroll"],
    "message": "Jeg begynte i lønnsavdelingen 1. november.",
    "ordered_at": "2026-01-31T12:00:00Z",
}


class AccessOrderView(BaseModel):
    """An order that waits for a decision."""

    model_config = ConfigDict(json_schema_extra={"example": _ORDER})
    id: UUID
    organisation_id: UUID
    address: str
    full_name: str
    groups: list[str]
    message: str
    ordered_at: datetime


class AccessOrderPage(BaseModel):
    """Some orders, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_ORDER], "next_cursor": CURSOR}})
    items: list[AccessOrderView]
    next_cursor: str | None


class DecisionBody(BaseModel):
    """Whether access is given; `groups` are given instead of those that were ordered."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"granted": True}})
    granted: bool
    reason: Annotated[str | None, Field(max_length=LONGEST_REASON)] = None
    groups: Annotated[Groups, Field(min_length=1)] | None = None


class Decided(BaseModel):
    """What came of an order."""

    model_config = ConfigDict(json_schema_extra={"example": {"account_id": USER["id"]}})
    account_id: Annotated[UUID | None, Field(description="who has access now; null where it was declined")]


def router(front: Front) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/v1", tags=["access orders"])
    _add_ordering(routes, front)
    _add_superusers(routes, front)
    _add_unions(routes, front)
    return routes


def _add_ordering(routes: APIRouter, front: Front) -> None:
    @routes.post(
        "/access-orders",
        status_code=202,
        summary="Order access",
        responses=refused(NoSuchGroup, TooManyOrders(retry_after=access_orders.WAIT_SECONDS)),
        dependencies=[access.anyone("Whoever orders access has none yet.", sees=SYSTEM)],
    )
    async def order_access(body: AccessOrderBody, request: Request) -> OrderReceived:
        """Tell whoever may decide that somebody would like access; the answer is the same whatever organisation is named."""
        wish = Wish(
            body.organisation_id,
            body.organisation_number,
            body.address,
            body.full_name,
            body.language.value,
            body.groups,
            body.message,
        )
        source = front.keys.digest("source", network_of(front.source_of(request)))
        most = front.settings.access_orders_per_hour
        async with front.database.transaction() as conn:
            ordered_at = await access_orders.order(conn, wish, source_digest=source, most=most)
        return OrderReceived(ordered_at=ordered_at)


OrderId = Annotated[UUID, Path(description="the order: `id` in the list")]
DECIDING = refused(NoSuchOrder, NoSuchUser, OwnRights, AddressTaken, *GIVING)


def _add_superusers(routes: APIRouter, front: Front) -> None:
    @routes.get("/access-orders", summary="List the orders that superusers decide", responses=refused(WrongCursor))
    async def list_access_orders(caller: ManagesUsers, cursor: Cursor = None, limit: Limit = 50) -> AccessOrderPage:
        return await _listed(front, caller, Grantor.SUPERUSER, organisation_of(caller), cursor, limit)

    @routes.post(
        "/access-orders/{order_id}/decisions",
        status_code=201,
        summary="Decide an order, as a superuser",
        responses=DECIDING,
    )
    async def decide_access_order(order_id: OrderId, body: DecisionBody, caller: ManagesUsers) -> Decided:
        """Give access or decline it, once; whoever ordered is told by mail."""
        return await _decided(front, caller, Grantor.SUPERUSER, organisation_of(caller), order_id, body)


def _add_unions(routes: APIRouter, front: Front) -> None:
    @routes.get(
        "/union/access-orders", summary="List the orders that the union decides", responses=refused(WrongCursor)
    )
    async def list_access_orders_for_union(
        caller: ManagesCompanyUsers, cursor: Cursor = None, limit: Limit = 50
    ) -> AccessOrderPage:
        return await _listed(front, caller, Grantor.UNION, None, cursor, limit)

    @routes.post(
        "/union/access-orders/{order_id}/decisions",
        status_code=201,
        summary="Decide an order, as the union",
        responses=DECIDING,
    )
    async def decide_access_order_for_union(
        order_id: OrderId, body: DecisionBody, caller: ManagesCompanyUsers
    ) -> Decided:
        """Give access or decline it, once; whoever ordered is told by mail."""
        return await _decided(front, caller, Grantor.UNION, None, order_id, body)


async def _listed(  # noqa: PLR0913, PLR0917 -- whose, and from where on.
    front: Front, caller: Caller, grantor: Grantor, organisation_id: UUID | None, cursor: str | None, limit: int
) -> AccessOrderPage:
    after = UUID(int=0) if cursor is None else cursors.read_cursor(cursor, _SORT)[1]
    async with front.database.transaction() as conn:
        giver = giver_of(caller, grantor)
        found = await access_orders.page(conn, giver, organisation_id, after=after, limit=limit + 1)
    items = [AccessOrderView.model_validate(each, from_attributes=True) for each in found[:limit]]
    more = cursors.write(_SORT, "", items[-1].id) if len(found) > limit else None
    return AccessOrderPage(items=items, next_cursor=more)


async def _decided(  # noqa: PLR0913, PLR0917 -- who decides about which order, and how.
    front: Front, caller: Caller, grantor: Grantor, organisation_id: UUID | None, order_id: UUID, body: DecisionBody
) -> Decided:
    decision = Decision(body.granted, body.reason, body.groups)
    async with front.database.transaction() as conn:
        giver = giver_of(caller, grantor)
        account_id = await access_orders.decide(conn, giver, organisation_id, order_id, decision)
    return Decided(account_id=account_id)
