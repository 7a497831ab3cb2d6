"""Grants: who may give whom which rights, where. All rules of that stand here, and nowhere else (L12-L14, U29)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from chassis import outbox
from chassis.failpoints import reach
from chassis.postgres import Connection
from contracts.auth import RightsChanged
from contracts.rights import BY_NAME, GROUPS, MANAGE_USERS, SUPPORT, Grantor, RightsGroup
from services.auth.organisations import store as organisations_store
from services.auth.organisations.errors import NoSuchOrganisation, OrganisationClosed
from services.auth.people import security
from services.auth.rights import store
from services.auth.rights.errors import (
    LastSuperuser,
    NoSuchGroup,
    NoSuchUser,
    NotYoursToGrant,
    OwnRights,
    SupportMayNot,
    WrongKindOfOrganisation,
)
from services.auth.rights.store import Membership

log = structlog.get_logger()

SUPPORT_GROUPS = tuple(group.name for group in GROUPS if SUPPORT in group.rights)
SUPERUSER_GROUPS = tuple(group.name for group in GROUPS if MANAGE_USERS in group.rights)
AT_HOME = frozenset({Grantor.SUPERUSER, Grantor.BUYER})
"""They give rights to the organisation's own people alone."""


@dataclass(frozen=True, slots=True)
class Giver:
    """Who gives or takes rights; `name` is kept with each grant: `account:<id>`, `system:<name>` or `operator`."""

    grantor: Grantor
    name: str
    account_id: UUID | None = None

    @classmethod
    def of_account(cls, grantor: Grantor, account_id: UUID) -> "Giver":
        return cls(grantor, f"account:{account_id}", account_id)

    @classmethod
    def of_system(cls, system: str) -> "Giver":
        return cls(Grantor.BUYER, f"system:{system}")


OPERATOR = Giver(Grantor.OPERATOR, "operator")


async def refuse_support(conn: Connection, account_id: UUID | None) -> None:
    """Raise `SupportMayNot` for whoever holds a role of support anywhere, whatever else they hold (L13, L14)."""
    if account_id is not None and await store.holds_anywhere(conn, account_id, SUPPORT_GROUPS):
        raise SupportMayNot


async def give(conn: Connection, giver: Giver, account_id: UUID, organisation_id: UUID, name: str) -> UUID:
    """Give an account a group of rights in an organisation, and tell of it unless it has it already; gives the membership.

    The organisation is one that the giver may act in: for a superuser the own one. Raises what the rules below say.
    """
    await refuse_support(conn, giver.account_id)
    group = _group(giver, name)
    if giver.account_id == account_id:
        raise OwnRights
    await _admit(conn, giver, account_id, organisation_id, group)
    membership_id = await store.lock_membership(conn, account_id, organisation_id)
    if await store.insert_grant(conn, membership_id, organisation_id, name, giver.name):
        log.info("right_granted", account_id=str(account_id), organisation_id=str(organisation_id), group=name)
        await _tell(conn, membership_id)
    return membership_id


async def give_new(conn: Connection, giver: Giver, organisation_id: UUID, groups: Mapping[UUID, Sequence[str]]) -> None:
    """Give accounts that this transaction has added at home in an organisation what each is to have there; as `give` does."""
    await refuse_support(conn, giver.account_id)
    wanted = [_group(giver, name) for name in sorted({name for names in groups.values() for name in names})]
    if not wanted:
        return
    for group in wanted:
        await _open_to(conn, organisation_id, group)
    having = {account_id: names for account_id, names in groups.items() if names}
    made = await store.insert_memberships(conn, organisation_id, having, giver.name)
    await outbox.add_all(conn, [state_of(membership) for membership in made])
    reach("rights.told")
    log.info("rights_granted", organisation_id=str(organisation_id), count=len(made))


async def take(conn: Connection, giver: Giver, account_id: UUID, organisation_id: UUID, name: str) -> UUID:
    """Take a group of rights away, and with it all tokens that say otherwise; gives the membership.

    Raises `LastSuperuser` where nobody would be left to manage the organisation's users, and what the rules below say.
    """
    await refuse_support(conn, giver.account_id)
    group = _group(giver, name)
    await _admit(conn, giver, account_id, organisation_id, group, closed_too=True)
    membership_id = await store.lock_membership(conn, account_id, organisation_id)
    if not await store.delete_grant(conn, membership_id, organisation_id, name):
        return membership_id
    if name in SUPERUSER_GROUPS and giver.grantor is Grantor.SUPERUSER:
        await refuse_last_superuser(conn, organisation_id, without=account_id)
    log.info("right_taken", account_id=str(account_id), organisation_id=str(organisation_id), group=name)
    await _tell(conn, membership_id)
    await security.void_tokens(conn, account_id)
    return membership_id


async def refuse_last_superuser(conn: Connection, organisation_id: UUID, *, without: UUID) -> None:
    """Raise `LastSuperuser` where nobody but one account manages an organisation's users, wherever they are at home.

    The caller has locked the organisation, so that two superusers do not take each other's rights at once.
    """
    if not await store.others_hold(conn, organisation_id, SUPERUSER_GROUPS, besides=without):
        raise LastSuperuser


def grantable(grantor: Grantor, *, kind: str) -> Sequence[RightsGroup]:
    """Give the groups that a grantor gives in organisations of a kind."""
    return [group for group in GROUPS if grantor in group.granted_by and group.kind == kind]


def _group(giver: Giver, name: str) -> RightsGroup:
    """Find the group; raises `NoSuchGroup`, or `NotYoursToGrant` where another gives it."""
    if name not in BY_NAME:
        raise NoSuchGroup
    if giver.grantor not in BY_NAME[name].granted_by:
        raise NotYoursToGrant
    return BY_NAME[name]


async def _admit(  # noqa: PLR0913 -- what a rule looks at.
    conn: Connection,
    giver: Giver,
    account_id: UUID,
    organisation_id: UUID,
    group: RightsGroup,
    *,
    closed_too: bool = False,
) -> None:
    """Lock the organisation and the account, and refuse what does not fit; one of another home looks as if it were not."""
    await _open_to(conn, organisation_id, group, closed_too=closed_too)
    exists, home = await store.lock_home(conn, account_id)
    if not exists or (giver.grantor in AT_HOME and home != organisation_id):
        raise NoSuchUser


async def _open_to(conn: Connection, organisation_id: UUID, group: RightsGroup, *, closed_too: bool = False) -> None:
    """Lock the organisation, and refuse a group that there is not in one like it."""
    organisation = await organisations_store.lock_organisation(conn, organisation_id)
    if organisation is None:
        raise NoSuchOrganisation
    if organisation.kind is not group.kind:
        raise WrongKindOfOrganisation
    if not organisation.active and not closed_too:
        raise OrganisationClosed


async def _tell(conn: Connection, membership_id: UUID) -> None:
    await outbox.add(conn, state_of(await store.raise_membership(conn, membership_id)))
    reach("rights.told")


async def republish(conn: Connection, after: str | None, limit: int) -> Sequence[str]:
    """Tell the state of the memberships behind an id again, tombstones too; gives the ids told of, in order."""
    page = await store.lock_memberships(conn, after=UUID(int=0) if after is None else UUID(after), limit=limit)
    for membership in page:
        await outbox.add(conn, state_of(membership))
    return [str(membership.id) for membership in page]


async def settle(conn: Connection, lost: RightsChanged) -> str | None:
    """Take away again what the lost time took away, and tell readers that a membership it made has no rights."""
    disowned = await store.insert_disowned(conn, lost.membership_id, lost.account_id, lost.organisation_id)
    if disowned is not None:
        await outbox.add(conn, state_of(disowned))
        return "readers told that the membership has no rights"
    taken = await store.delete_other_grants(conn, lost.membership_id, lost.organisation_id, lost.groups)
    if not taken:
        return None
    await _tell(conn, lost.membership_id)
    return "rights taken away again"


def state_of(membership: Membership) -> RightsChanged:
    """Say all that an account may do for an organisation."""
    return RightsChanged(
        membership_id=membership.id,
        account_id=membership.account_id,
        organisation_id=membership.organisation_id,
        epoch=membership.epoch,
        version=max(1, membership.version),
        groups=membership.groups,
    )
