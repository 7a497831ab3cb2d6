"""The HTTP edge of users: superusers see and edit those of the organisation that they act for; support sees (L12-L19)."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import access, idempotency
from chassis.access import Caller
from chassis.failpoints import reach
from chassis.openapi import refused
from chassis.scope import STAFF
from contracts.rights import MANAGE_USERS, SEE_USERS, SUPPORT, Grantor
from services.auth.errors import WrongCursor
from services.auth.front import Front
from services.auth.organisations.errors import NoSuchOrganisation, OrganisationClosed
from services.auth.people.errors import AddressTaken, UserNameTaken, WrongUserName
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
    user_view,
)

SeesUsers = Annotated[Caller, access.needs(right=SEE_USERS)]
ManagesUsers = Annotated[Caller, access.needs(right=MANAGE_USERS)]
_CURSOR, _LIMIT = "`next_cursor` of the page before; none for the first", "how many a page has at most"
Cursor = Annotated[str | None, Query(max_length=LONGEST_CURSOR, description=_CURSOR)]
Limit = Annotated[int, Query(ge=1, le=200, description=_LIMIT)]
OrganisationId = Annotated[UUID, Path(description="the organisation")]
UserId = Annotated[UUID, Path(description="the user: `id` in the list")]
GroupName = Annotated[str, Field(max_length=100)]
RightsName = Annotated[GroupName, Path(description="the group of rights: `name` in the list of rights")]
IfMatch = Annotated[
    str,
    Header(
        pattern=r'^(\*|"[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}")$', description="the `ETag` of what you have seen, or `*`"
    ),
]
ETAG: dict[str, Any] = {
    "headers": {"ETag": {"schema": {"type": "string"}, "description": "This state of the user, for `If-Match`."}}
}
_TAKING = (NoSuchGroup, NotYoursToGrant, SupportMayNot, WrongKindOfOrganisation)
GIVING = (*_TAKING, OrganisationClosed)
TAKEN = (AddressTaken, UserNameTaken, WrongUserName)


class UserQuery(BaseModel):
    """Which users are wanted, sorted how, from where on."""

    model_config = ConfigDict(extra="forbid")
    active: Annotated[bool | None, Field(description="those alone who are switched on, or off")] = None
    group: Annotated[GroupName | None, Field(description="those alone who have this group of rights")] = None
    mail_trouble: Annotated[bool | None, Field(description="those alone whose last mail did not arrive, or did")] = None
    text: Annotated[str | None, Field(max_length=LONGEST_TEXT, description="in name, address or user name")] = None
    sort: Annotated[Literal["name", "address", "changed_at"], Field(description="`changed_at`: the latest first")] = (
        "name"
    )
    cursor: Annotated[str | None, Field(max_length=LONGEST_CURSOR, description=_CURSOR)] = None
    limit: Annotated[int, Field(ge=1, le=200, description=_LIMIT)] = 50

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

    @routes.get("/users", summary="List the users of one's organisation", responses=refused(WrongCursor))
    async def list_users(
        caller: SeesUsers, query: Annotated[UserQuery, Query()], accept_language: AcceptLanguage = None
    ) -> UserPage:
        return await listed(organisation_of(caller), query, accept_language)

    @routes.get("/users/{user_id}", summary="Show a user", responses={200: ETAG, **refused(NoSuchUser)})
    async def show_user(
        user_id: UserId, caller: SeesUsers, response: Response, accept_language: AcceptLanguage = None
    ) -> UserView:
        async with front.database.transaction() as conn:
            user = await users.get(conn, organisation_of(caller), user_id)
        return tagged(response, user, accept_language)

    @routes.get(
        "/organisations/{organisation_id}/users",
        summary="List a customer's users, for support",
        responses=refused(WrongCursor, NoSuchOrganisation),
        dependencies=[access.needs(right=SUPPORT, sees=STAFF)],
    )
    async def list_users_for_support(
        organisation_id: OrganisationId, query: Annotated[UserQuery, Query()], accept_language: AcceptLanguage = None
    ) -> UserPage:
        """Support sees the users of a customer, and changes none of them."""
        async with front.database.transaction() as conn:
            await users.require_customer(conn, organisation_id)
        return await listed(organisation_id, query, accept_language)


def _add_adding(routes: APIRouter, front: Front) -> None:
    @routes.post(
        "/users",
        status_code=201,
        summary="Add a user, with rights",
        responses={201: ETAG, **refused(*TAKEN, *GIVING, *idempotency.REFUSALS)},
        openapi_extra=idempotency.DOCUMENTED,
    )
    async def add_user(
        body: NewUserBody,
        caller: ManagesUsers,
        request: Request,
        response: Response,
        accept_language: AcceptLanguage = None,
    ) -> UserView:
        """Make a new person a user of the organisation that is acted for; nobody is added who has an account already."""
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
        summary="Change a user",
        responses={
            200: ETAG,
            **refused(
                *TAKEN, LastSuperuser, NoSuchUser, UserChanged(changed="address"), NothingToChange, SupportMayNot
            ),
        },
    )
    async def edit_user(  # noqa: PLR0913 -- one argument a parameter.
        *,
        user_id: UserId,
        body: UserChanges,
        caller: ManagesUsers,
        response: Response,
        if_match: IfMatch,
        accept_language: AcceptLanguage = None,
    ) -> UserView:
        """Change what is named, or with `active` switch a user off and on again: whoever is off is logged out at once."""
        changes = body.named()
        if not changes:
            raise NothingToChange
        async with front.database.transaction() as conn:
            user = await users.edit(
                conn, giver_of(caller), organisation_of(caller), user_id, tag=if_match.strip('"'), changes=changes
            )
        reach("users.committed")
        return tagged(response, user, accept_language)

    @routes.delete(
        "/users/{user_id}",
        status_code=204,
        summary="Erase a user",
        responses=refused(LastSuperuser, NoSuchUser, SupportMayNot),
    )
    async def erase_user(user_id: UserId, caller: ManagesUsers) -> None:
        """Erase a user, everywhere and for good."""
        async with front.database.transaction() as conn:
            await users.erase(conn, giver_of(caller), organisation_of(caller), user_id)


def _add_groups(routes: APIRouter, front: Front) -> None:
    @routes.put(
        "/users/{user_id}/groups/{group}",
        status_code=204,
        summary="Give a user a group of rights",
        responses=refused(NoSuchUser, OwnRights, *GIVING),
    )
    async def give_rights(user_id: UserId, group: RightsName, caller: ManagesUsers) -> None:
        async with front.database.transaction() as conn:
            await grants.give(conn, giver_of(caller), user_id, organisation_of(caller), group)
        reach("rights.committed")

    @routes.delete(
        "/users/{user_id}/groups/{group}",
        status_code=204,
        summary="Take a group of rights from a user",
        responses=refused(NoSuchUser, LastSuperuser, *_TAKING),
    )
    async def take_rights(user_id: UserId, group: RightsName, caller: ManagesUsers) -> None:
        """Take the rights away, and with them every token that still says otherwise."""
        async with front.database.transaction() as conn:
            await grants.take(conn, giver_of(caller), user_id, organisation_of(caller), group)
        reach("rights.committed")


def tagged(response: Response, user: User, accept_language: str | None) -> UserView:
    """Show a user, with the name of their state."""
    response.headers["ETag"] = f'"{user.tag}"'
    return user_view(user, language_for(accept_language))
