"""Users: the people that an organisation is home to, and what its superusers change about them (L12-L19)."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from chassis import outbox
from chassis.failpoints import reach
from chassis.postgres import Connection
from contracts.rights import OrganisationKind
from services.auth import cursors
from services.auth.organisations import organisations
from services.auth.organisations import store as organisations_store
from services.auth.organisations.errors import NoSuchOrganisation
from services.auth.people import accounts, names, security, user_names
from services.auth.people.addresses import Address
from services.auth.people.errors import NoSuchAccount
from services.auth.people.names import FullName
from services.auth.people.store import Account, Edit, Person
from services.auth.rights import grants
from services.auth.rights.errors import NoSuchUser
from services.auth.rights.grants import Giver
from services.auth.rights.store import Membership
from services.auth.users import store
from services.auth.users.errors import UserChanged
from services.auth.users.store import Filter, User

log = structlog.get_logger()

SORTS = ("name", "address", "changed_at")
EDITABLE = ("address", "user_name", "full_name", "language", "active")
ANY_STATE = "*"


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user as a superuser, or a file, describes them; `user_name` as it was typed, None where it is the address."""

    address: Address
    language: str
    user_name: str | None = None
    full_name: FullName | None = None
    active: bool = True
    groups: tuple[str, ...] = ()


def wanted(*, active: bool | None, group: str | None, trouble: bool | None, text: str | None) -> Filter:
    """Say which users are wanted; text is looked for in name, address and user name, whatever its case."""
    if text is None:
        return Filter(active, group, trouble)
    folded = unicodedata.normalize("NFKC", text.strip()).casefold()
    return Filter(active, group, trouble, folded, names.sort_key(text.strip()))


async def page(  # noqa: PLR0913 -- which, sorted how, from where on.
    conn: Connection, organisation_id: UUID, which: Filter, *, sort: str, cursor: str | None, limit: int
) -> tuple[Sequence[User], str | None]:
    """Give some users at home in an organisation, and the cursor of those after them; raises `WrongCursor`."""
    after = None if cursor is None else cursors.read_cursor(cursor, sort, number=sort == "changed_at")
    found = await store.find_users(conn, organisation_id, which, sort=sort, after=after, limit=limit + 1)
    shown = found[:limit]
    more = cursors.write(sort, shown[-1].sort_key, shown[-1].id) if len(found) > limit else None
    return shown, more


async def get(conn: Connection, organisation_id: UUID, user_id: UUID) -> User:
    """Give a user; raises `NoSuchUser`, for one of another organisation too (sec-P10)."""
    found = await store.find_user(conn, organisation_id, user_id)
    if found is None:
        raise NoSuchUser
    return found


async def require_customer(conn: Connection, organisation_id: UUID) -> None:
    """Raise `NoSuchOrganisation` unless it is a customer's: those are the ones that support looks at."""
    found = await organisations_store.find_organisation(conn, organisation_id)
    if found is None or found.kind is not OrganisationKind.CUSTOMER:
        raise NoSuchOrganisation


async def add(conn: Connection, giver: Giver, organisation_id: UUID, new: NewUser) -> User:
    """Add a user to an organisation, with rights that the giver may give.

    Raises `AddressTaken` whoever has the address (L15, L17, L18), `UserNameTaken` (L16), and what `grants.give` does.
    """
    await grants.refuse_support(conn, giver.account_id)
    await organisations.require(conn, organisation_id)
    account = await _add_account(conn, organisation_id, new)
    for group in new.groups:
        await grants.give(conn, giver, account.id, organisation_id, group)
    return await get(conn, organisation_id, account.id)


async def _add_account(conn: Connection, organisation_id: UUID, new: NewUser) -> Account:
    chosen = user_names.choose(new.user_name, new.address)
    return await accounts.add(
        conn, new.address, new.language, Person(new.full_name, chosen, organisation_id, active=new.active)
    )


async def edit(  # noqa: PLR0913 -- whose user, in which state, and what of it.
    conn: Connection, giver: Giver, organisation_id: UUID, user_id: UUID, *, tag: str, changes: Mapping[str, Any]
) -> User:
    """Change what `changes` names of a user who is still as `tag` says, and give them as they are now.

    A corrected address is no longer in trouble; what was mailed to the old one opens nothing any more, and whoever reads it
    is told. Whoever is switched off is logged out everywhere at once (sec-A10).
    Raises `UserChanged` naming what is new, `AddressTaken`, `UserNameTaken`, `LastSuperuser` and `NoSuchUser`.
    """
    await grants.refuse_support(conn, giver.account_id)
    await organisations_store.lock_organisation(conn, organisation_id)
    user = await store.lock_user(conn, organisation_id, user_id)
    if user is None:
        raise NoSuchUser
    if tag not in {ANY_STATE, user.tag}:
        raise UserChanged(changed=", ".join(_changed_since(user, tag)))
    shall_be = _as_it_shall_be(user, changes)
    changed = _differing(user, shall_be)
    if not changed:
        return user
    await accounts.edit(conn, user_id, shall_be, changed)
    reach("users.edited")
    if "active" in changed and not shall_be.active:
        await grants.refuse_last_superuser(conn, organisation_id, without=user_id)
        await security.void_codes(conn, user_id)
        await security.void_tokens(conn, user_id)
    if "address" in changed:
        await security.void_codes(conn, user_id)
        await store.delete_trouble(conn, user_id)
    edited = await get(conn, organisation_id, user_id)
    if "address" in changed:
        await accounts.tell_old_address(conn, user_id, user.address, user.language, edited.changed_at)
    return edited


def _as_it_shall_be(user: User, changes: Mapping[str, Any]) -> Edit:
    given = {name: changes.get(name, getattr(user, name)) for name in EDITABLE}
    return Edit(**{**given, "user_name": user_names.choose(given["user_name"], given["address"])})


def _differing(user: User, shall_be: Edit) -> Collection[str]:
    shown = None if shall_be.user_name is None else shall_be.user_name[0]
    new = {name: getattr(shall_be, name) for name in EDITABLE} | {"user_name": shown}
    return [name for name in EDITABLE if new[name] != getattr(user, name)]


def _changed_since(user: User, tag: str) -> Sequence[str]:
    """Name what has changed since a state; all that can have, where that was before a restore."""
    epoch, version, membership_version = (int(part) for part in tag.split("-"))
    since = version if epoch == user.epoch else 0
    fields = [name for name in EDITABLE if user.field_versions.get(name, 1) > since]
    return fields if membership_version == user.membership_version else [*fields, "groups"]


async def erase(conn: Connection, giver: Giver, organisation_id: UUID, user_id: UUID) -> None:
    """Erase a user with all rights; raises `NoSuchUser` or `LastSuperuser`."""
    await grants.refuse_support(conn, giver.account_id)
    await organisations_store.lock_organisation(conn, organisation_id)
    if await store.lock_user(conn, organisation_id, user_id) is None:
        raise NoSuchUser
    await grants.refuse_last_superuser(conn, organisation_id, without=user_id)
    await erase_account(conn, user_id)


async def erase_account(conn: Connection, account_id: UUID) -> None:
    """Erase an account whoever it is, log it out everywhere and end its memberships; raises `NoSuchAccount`."""
    await security.void_tokens(conn, account_id)
    await accounts.erase(conn, account_id)
    for fields in await store.end_memberships(conn, account_id):
        await outbox.add(conn, grants.state_of(Membership(*fields, groups=())))


async def deactivate(conn: Connection, organisation_id: UUID, account_id: UUID) -> None:
    """Switch off an account that the organisation is home to, as a system asks for it; raises `NoSuchAccount`."""
    user = await store.lock_user(conn, organisation_id, account_id)
    if user is None:
        raise NoSuchAccount
    if user.active:
        await accounts.edit(conn, account_id, _as_it_shall_be(user, {"active": False}), ["active"])
        await security.void_codes(conn, account_id)
        await security.void_tokens(conn, account_id)
