"""The HTTP edge of users: superusers see and edit those of the organisation that they act for; support sees (L12-L19)."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, idempotency
from chassis.access import Caller
from chassis.failpoints import reach
from chassis.scope import STAFF
from contracts.rights import MANAGE_USERS, SEE_USERS, SUPPORT, Grantor
from services.auth.errors import WrongCursor
from services.auth.front import Front
from services.auth.organisations.errors import NoSuchOrganisation
from services.auth.people.errors import AddressTaken, UserNameTaken
from services.auth.rights import grants
from services.auth.rights.errors import (
    LastSuperuser,
    NoSuchGroup,
    NoSuchUser,
    NotYoursToGrant,
    OwnRights,
    SupportMayNot,
    WrongKindOfOrganisation,
)
from services.auth.rights.grants import Giver
from services.auth.users import users
from services.auth.users.errors import NothingToChange, UserChanged
from services.auth.users.store import Filter, User
from services.auth.users.users import NewUser
from services.auth.users.views import (
    LONGEST_CURSOR,
    LONGEST_TEXT,
    AcceptLanguage,
    NewUserBody,
    UserChanges,
    UserPage,
    UserView,
    language_for,
    refused,
    user_view,
)

SeesUsers = Annotated[Caller, access.needs(right=SEE_USERS)]
ManagesUsers = Annotated[Caller, access.needs(right=MANAGE_USERS)]
Cursor = Annotated[str | None, Query(max_length=LONGEST_CURSOR)]
Limit = Annotated[int, Query(ge=1, le=200)]
GroupName = Annotated[str, Field(max_length=100)]
IfMatch = Annotated[
    str,
    Header(
        pattern=r'^(\*|"[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}")$', description="the `ETag` of what you have seen, or `*`"
    ),
]
ETAG = {"headers": {"ETag": {"schema": {"type": "string"}, "description": "This state of the user, for `If-Match`."}}}
_GIVING = (NoSuchGroup, NotYoursToGrant, OwnRights, SupportMayNot, WrongKindOfOrganisation)


class UserQuery(BaseModel):
    """Which users are wanted, sorted how, from where on."""

    model_config = ConfigDict(extra="forbid")
    active: bool | None = None
    group: GroupName | None = None
    mail_trouble: bool | None = None
    text: Annotated[str | None, Field(max_length=LONGEST_TEXT, description="in name, address or user name")] = None
    sort: Annotated[Literal["name", "address", "changed_at"], Field(description="`changed_at`: the latest first")] = (
        "name"
    )
    cursor: Annotated[str | None, Field(max_length=LONGEST_CURSOR)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50

    def wanted(self) -> Filter:
        return users.wanted(active=self.active, group=self.group, trouble=self.mail_trouble, text=self.text)


class _Added(BaseModel):
    """A user as they were when they were added, which the same request gets again."""

    user: UserView
    tag: str


def organisation_of(caller: Caller) -> UUID:
    """Name the organisation that the caller acts for: the need has asked for one."""
    assert caller.organisation_id is not None  # noqa: S101 -- `needs` refuses who has chosen none.
    return caller.organisation_id


def giver_of(caller: Caller, grantor: Grantor = Grantor.SUPERUSER) -> Giver:
    """Say who gives and takes rights: a person, for no system has these needs."""
    assert caller.account_id is not None  # noqa: S101 -- `needs` refuses systems.
    return Giver.of_account(grantor, caller.account_id)


def add_routes(routes: APIRouter, front: Front) -> None:
    """Add the routes about users."""
    _add_reading(routes, front)
    _add_adding(routes, front)
    _add_editing(routes, front)
    _add_groups(routes, front)


def _add_reading(routes: APIRouter, front: Front) -> None:
    async def listed(organisation_id: UUID, query: UserQuery, accept_language: str | None) -> UserPage:
        async with front.database.transaction() as conn:
            found, more = await users.page(
                conn, organisation_id, query.wanted(), sort=query.sort, cursor=query.cursor, limit=query.limit
            )
        language = language_for(accept_language)
        return UserPage(items=[user_view(user, language) for user in found], next_cursor=more)

    @routes.get("/users", responses=refused(WrongCursor))
    async def list_users(
        caller: SeesUsers, query: Annotated[UserQuery, Query()], accept_language: AcceptLanguage = None
    ) -> UserPage:
        return await listed(organisation_of(caller), query, accept_language)

    @routes.get("/users/{user_id}", responses={200: ETAG, **refused(NoSuchUser)})
    async def show_user(
        user_id: UUID, caller: SeesUsers, response: Response, accept_language: AcceptLanguage = None
    ) -> UserView:
        async with front.database.transaction() as conn:
            user = await users.get(conn, organisation_of(caller), user_id)
        return tagged(response, user, accept_language)

    @routes.get(
        "/organisations/{organisation_id}/users",
        responses=refused(WrongCursor, NoSuchOrganisation),
        dependencies=[access.needs(right=SUPPORT, sees=STAFF)],
    )
    async def list_users_for_support(
        organisation_id: UUID, query: Annotated[UserQuery, Query()], accept_language: AcceptLanguage = None
    ) -> UserPage:
        """Support sees the users of a customer, and changes none of them (L13)."""
        async with front.database.transaction() as conn:
            await users.require_customer(conn, organisation_id)
        return await listed(organisation_id, query, accept_language)


def _add_adding(routes: APIRouter, front: Front) -> None:
    @routes.post(
        "/users",
        status_code=201,
        responses={201: ETAG, **refused(AddressTaken, UserNameTaken, *_GIVING)},
    )
    async def add_user(
        body: NewUserBody,
        caller: ManagesUsers,
        request: Request,
        response: Response,
        accept_language: AcceptLanguage = None,
    ) -> UserView:
        request_key = await idempotency.key_of(request, caller.acting)
        organisation_id = organisation_of(caller)
        new = NewUser(
            body.address, body.language.value, body.user_name, body.full_name, groups=tuple(dict.fromkeys(body.groups))
        )

        async def work() -> _Added:
            user = await users.add(conn, giver_of(caller), organisation_id, new)
            return _Added(user=user_view(user, language_for(accept_language)), tag=user.tag)

        async with front.database.transaction() as conn:
            added = await idempotency.once(conn, request_key, _Added, work)
        response.headers["ETag"] = f'"{added.tag}"'
        return added.user


def _add_editing(routes: APIRouter, front: Front) -> None:
    @routes.patch(
        "/users/{user_id}",
        responses={
            200: ETAG,
            **refused(
                AddressTaken, UserNameTaken, LastSuperuser, NoSuchUser, UserChanged, NothingToChange, SupportMayNot
            ),
        },
    )
    async def edit_user(  # noqa: PLR0913 -- one argument a parameter.
        *,
        user_id: UUID,
        body: UserChanges,
        caller: ManagesUsers,
        response: Response,
        if_match: IfMatch,
        accept_language: AcceptLanguage = None,
    ) -> UserView:
        """Change a user, or with `active` switch them off and on again."""
        changes = body.named()
        if not changes:
            raise NothingToChange
        async with front.database.transaction() as conn:
            user = await users.edit(
                conn, giver_of(caller), organisation_of(caller), user_id, tag=if_match.strip('"'), changes=changes
            )
        reach("users.committed")
        return tagged(response, user, accept_language)

    @routes.delete("/users/{user_id}", status_code=204, responses=refused(LastSuperuser, NoSuchUser, SupportMayNot))
    async def erase_user(user_id: UUID, caller: ManagesUsers) -> None:
        """Erase a user, everywhere and for good."""
        async with front.database.transaction() as conn:
            await users.erase(conn, giver_of(caller), organisation_of(caller), user_id)


def _add_groups(routes: APIRouter, front: Front) -> None:
    @routes.put("/users/{user_id}/groups/{group}", status_code=204, responses=refused(NoSuchUser, *_GIVING))
    async def give_rights(user_id: UUID, group: GroupName, caller: ManagesUsers) -> None:
        async with front.database.transaction() as conn:
            await grants.give(conn, giver_of(caller), user_id, organisation_of(caller), group)
        reach("rights.committed")

    @routes.delete(
        "/users/{user_id}/groups/{group}", status_code=204, responses=refused(NoSuchUser, LastSuperuser, *_GIVING)
    )
    async def take_rights(user_id: UUID, group: GroupName, caller: ManagesUsers) -> None:
        async with front.database.transaction() as conn:
            await grants.take(conn, giver_of(caller), user_id, organisation_of(caller), group)
        reach("rights.committed")


def tagged(response: Response, user: User, accept_language: str | None) -> UserView:
    """Show a user, with the name of their state."""
    response.headers["ETag"] = f'"{user.tag}"'
    return user_view(user, language_for(accept_language))
