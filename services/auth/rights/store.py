"""SQL of rights: memberships, and the groups that each has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.postgres import Connection


@dataclass(frozen=True, slots=True)
class Membership:
    """What an account may do for an organisation; without groups it is a tombstone."""

    id: UUID
    account_id: UUID
    organisation_id: UUID
    epoch: int
    version: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActsFor:
    """An organisation that an account may act for, with the groups it has there."""

    organisation_id: UUID
    name: str
    number: str | None
    groups: tuple[str, ...]


UPSERT_MEMBERSHIP = """
insert into memberships (account_id, organisation_id, version) values ($1, $2, 0)
on conflict (account_id, organisation_id) where not disowned do update set version = memberships.version
returning id"""


async def lock_membership(conn: Connection, account_id: UUID, organisation_id: UUID) -> UUID:
    """Give the membership of an account, a new one if need be, and keep it from changing until the transaction ends."""
    membership_id: UUID = await conn.fetchval(UPSERT_MEMBERSHIP, account_id, organisation_id)
    return membership_id


INSERT_GRANT = """
insert into grants (membership_id, organisation_id, group_name, granted_by) values ($1, $2, $3, $4)
on conflict on constraint grants_pk do nothing"""


async def insert_grant(conn: Connection, membership_id: UUID, organisation_id: UUID, group: str, by: str) -> bool:
    """Give a membership a group of rights; False when it has it."""
    return await conn.execute(INSERT_GRANT, membership_id, organisation_id, group, by) == "INSERT 0 1"


INSERT_MEMBERSHIPS = """
insert into memberships (account_id, organisation_id) select account_id, $2 from unnest($1::uuid[]) as new (account_id)
returning id, account_id, organisation_id, current_epoch(), version"""

INSERT_GRANTS = """
insert into grants (membership_id, organisation_id, group_name, granted_by)
select membership_id, $3, group_name, $4 from unnest($1::uuid[], $2::text[]) as new (membership_id, group_name)"""


async def insert_memberships(
    conn: Connection, organisation_id: UUID, groups: Mapping[UUID, Sequence[str]], by: str
) -> list[Membership]:
    """Give new accounts, which have no membership yet, the groups of rights that each is to have in an organisation."""
    rows = await conn.fetch(INSERT_MEMBERSHIPS, list(groups), organisation_id)
    made = [_membership([*row, sorted(groups[row[1]])]) for row in rows]
    pairs = [(each.id, group) for each in made for group in each.groups]
    await conn.execute(INSERT_GRANTS, [pair[0] for pair in pairs], [pair[1] for pair in pairs], organisation_id, by)
    return made


DELETE_GRANT = "delete from grants where membership_id = $1 and organisation_id = $2 and group_name = $3"


async def delete_grant(conn: Connection, membership_id: UUID, organisation_id: UUID, group: str) -> bool:
    """Take a group of rights from a membership; False when it does not have it."""
    return await conn.execute(DELETE_GRANT, membership_id, organisation_id, group) == "DELETE 1"


RAISE_MEMBERSHIP = """
update memberships m set version = version + 1, changed_at = now() where id = $1
returning id, account_id, organisation_id, current_epoch(), version,
    array(select group_name from grants where membership_id = m.id order by group_name collate "C")"""


async def raise_membership(conn: Connection, membership_id: UUID) -> Membership:
    """Note that a membership's groups have changed, and give what it has now."""
    row = await conn.fetchrow(RAISE_MEMBERSHIP, membership_id)
    assert row is not None  # noqa: S101 -- the caller has locked it.
    return _membership(row)


LOCK_MEMBERSHIPS = """
select id, account_id, organisation_id, current_epoch(), version,
    array(select group_name from grants where membership_id = m.id order by group_name collate "C")
from memberships m where id > $1 order by id limit $2 for no key update"""


async def lock_memberships(conn: Connection, *, after: UUID, limit: int) -> list[Membership]:
    """Give the memberships behind an id, tombstones too, and keep them from changing until the transaction ends."""
    return [_membership(row) for row in await conn.fetch(LOCK_MEMBERSHIPS, after, limit)]


INSERT_DISOWNED = """
insert into memberships (id, account_id, organisation_id, disowned) values ($1, $2, $3, true)
on conflict on constraint memberships_pk do nothing
returning id, account_id, organisation_id, current_epoch(), version"""


async def insert_disowned(
    conn: Connection, membership_id: UUID, account_id: UUID, organisation_id: UUID
) -> Membership | None:
    """Note a membership that only a lost time knew, as one without rights; None for one that is here."""
    row = await conn.fetchrow(INSERT_DISOWNED, membership_id, account_id, organisation_id)
    return None if row is None else _membership([*row, ()])


DELETE_OTHER_GRANTS = """
delete from grants where membership_id = $1 and organisation_id = $2 and group_name <> all($3::text[])"""


async def delete_other_grants(
    conn: Connection, membership_id: UUID, organisation_id: UUID, groups: Sequence[str]
) -> int:
    """Take all groups of rights from a membership but some; gives how many."""
    status = await conn.execute(DELETE_OTHER_GRANTS, membership_id, organisation_id, groups)
    return int(status.rpartition(" ")[2])


def _membership(row: Any) -> Membership:
    return Membership(row[0], row[1], row[2], row[3], row[4], tuple(row[5]))


SELECT_ORGANISATIONS_OF = """
select o.id, o.name, o.number, array_agg(g.group_name order by g.group_name collate "C")
from memberships m join grants g on g.membership_id = m.id join organisations o on o.id = m.organisation_id
where m.account_id = $1 and o.active group by o.id order by o.name, o.id"""


async def find_organisations_of(conn: Connection, account_id: UUID) -> list[ActsFor]:
    """Give the organisations that an account may act for, as far as the scope sees them, by name."""
    rows = await conn.fetch(SELECT_ORGANISATIONS_OF, account_id)
    return [ActsFor(row[0], row[1], row[2], tuple(row[3])) for row in rows]


SELECT_GROUPS = """
select array(select g.group_name from memberships m join grants g on g.membership_id = m.id
    where m.account_id = $1 and m.organisation_id = $2 order by g.group_name collate "C")
from organisations where id = $2 and active"""


async def find_groups(conn: Connection, account_id: UUID, organisation_id: UUID) -> tuple[str, ...]:
    """Give the groups of rights that an account has in an organisation."""
    return tuple(await conn.fetchval(SELECT_GROUPS, account_id, organisation_id) or ())


SELECT_HOLDERS = """
select m.account_id from memberships m join grants g on g.membership_id = m.id join accounts a on a.id = m.account_id
where m.organisation_id = $1 and g.organisation_id = $1 and g.group_name = any($2::text[]) and a.active
order by m.account_id limit $3"""


async def find_holders(conn: Connection, organisation_id: UUID, groups: Sequence[str], limit: int = 100) -> list[UUID]:
    """Give the active accounts that have one of these groups in an organisation."""
    return [row[0] for row in await conn.fetch(SELECT_HOLDERS, organisation_id, groups, limit)]


SELECT_HOLDERS_ANYWHERE = """
select distinct m.account_id from memberships m join grants g on g.membership_id = m.id
    join accounts a on a.id = m.account_id
where g.group_name = any($1::text[]) and a.active order by m.account_id limit $2"""


async def find_holders_anywhere(conn: Connection, groups: Sequence[str], limit: int = 100) -> list[UUID]:
    """Give the active accounts that have one of these groups in some organisation that the scope sees."""
    return [row[0] for row in await conn.fetch(SELECT_HOLDERS_ANYWHERE, groups, limit)]


SELECT_HOLDS_ANYWHERE = "select holds_anywhere($1, $2::text[])"


async def holds_anywhere(conn: Connection, account_id: UUID, groups: Sequence[str]) -> bool:
    """Tell whether an account has one of these groups in any organisation, whatever the scope sees."""
    return bool(await conn.fetchval(SELECT_HOLDS_ANYWHERE, account_id, groups))


SELECT_OTHERS_HOLD = "select others_hold($1, $2::text[], $3)"


async def others_hold(conn: Connection, organisation_id: UUID, groups: Sequence[str], *, besides: UUID) -> bool:
    """Tell whether an active account but one has one of these groups in an organisation, whatever the scope sees."""
    return bool(await conn.fetchval(SELECT_OTHERS_HOLD, organisation_id, groups, besides))


@dataclass(frozen=True, slots=True)
class Grant:
    account_id: UUID
    organisation_id: UUID
    group: str
    granted_at: datetime
    granted_by: str


SELECT_GRANTS = """
select m.account_id, g.organisation_id, g.group_name, g.granted_at, g.granted_by
from grants g join memberships m on m.id = g.membership_id
where g.organisation_id = $1 order by m.account_id, g.group_name"""


async def find_grants(conn: Connection, organisation_id: UUID) -> list[Grant]:
    return [Grant(*row) for row in await conn.fetch(SELECT_GRANTS, organisation_id)]


SELECT_HOME = "select organisation_id from accounts where id = $1 for no key update"


async def lock_home(conn: Connection, account_id: UUID) -> tuple[bool, UUID | None]:
    """Tell whether there is an account that the scope sees, and its home; keeps it from being erased meanwhile."""
    row = await conn.fetchrow(SELECT_HOME, account_id)
    return (False, None) if row is None else (True, row[0])
