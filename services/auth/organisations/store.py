"""SQL of organisations."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.postgres import Connection
from contracts.rights import OrganisationKind


@dataclass(frozen=True, slots=True)
class Organisation:
    id: UUID
    name: str
    number: str | None
    kind: OrganisationKind
    active: bool
    epoch: int
    version: int


INSERT_ORGANISATION = """
insert into organisations (id, name, number, kind) values (coalesce($1::uuid, uuidv7()), $2, $3, $4)
on conflict do nothing returning id, name, number, kind, active, current_epoch(), version"""


async def insert_organisation(
    conn: Connection, organisation_id: UUID | None, name: str, number: str | None, kind: OrganisationKind
) -> Organisation | None:
    """Add an organisation; None when its id or its number is taken."""
    row = await conn.fetchrow(INSERT_ORGANISATION, organisation_id, name, number, kind.value)
    return None if row is None else _organisation(row)


UPDATE_ORGANISATION = """
update organisations set name = $2, number = $3, version = version + 1, changed_at = now()
where id = $1 and (name, number) is distinct from ($2, $3)
returning id, name, number, kind, active, current_epoch(), version"""


async def update_organisation(
    conn: Connection, organisation_id: UUID, name: str, number: str | None
) -> Organisation | None:
    """Give an organisation another name and number; None when it has them already."""
    row = await conn.fetchrow(UPDATE_ORGANISATION, organisation_id, name, number)
    return None if row is None else _organisation(row)


INSERT_CLOSED_ORGANISATION = """
insert into organisations (id, name, kind, active) values ($1, $2, $3, false)
on conflict do nothing returning id, name, number, kind, active, current_epoch(), version"""


async def insert_closed_organisation(
    conn: Connection, organisation_id: UUID, name: str, kind: OrganisationKind
) -> Organisation | None:
    """Note an organisation that only a lost time knew, as one that nobody acts for; None for one that is here."""
    row = await conn.fetchrow(INSERT_CLOSED_ORGANISATION, organisation_id, name, kind.value)
    return None if row is None else _organisation(row)


LOCK_ORGANISATION = """
select id, name, number, kind, active, current_epoch(), version from organisations where id = $1 for no key update"""


async def lock_organisation(conn: Connection, organisation_id: UUID) -> Organisation | None:
    """Find an organisation and keep others from changing it, or rights in it, until the transaction ends."""
    row = await conn.fetchrow(LOCK_ORGANISATION, organisation_id)
    return None if row is None else _organisation(row)


LOCK_ORGANISATIONS = """
select id, name, number, kind, active, current_epoch(), version from organisations
where id > $1 order by id limit $2 for no key update"""


async def lock_organisations(conn: Connection, *, after: UUID, limit: int) -> list[Organisation]:
    """Give the organisations behind an id, and keep them from changing until the transaction ends."""
    return [_organisation(row) for row in await conn.fetch(LOCK_ORGANISATIONS, after, limit)]


SELECT_ORGANISATIONS = """
select id, name, number, kind, active, current_epoch(), version from organisations where id > $1 order by id limit $2"""


async def find_organisations(conn: Connection, *, after: UUID, limit: int) -> list[Organisation]:
    return [_organisation(row) for row in await conn.fetch(SELECT_ORGANISATIONS, after, limit)]


SELECT_ORGANISATIONS_CALLED = """
select id, name, number, kind, active, current_epoch(), version from organisations
where active and kind = 'customer' and (number = $1 or strpos(lower(name), lower($1)) > 0)
  and ($2::text is null or (name, id) > ($2, $3::uuid))
order by name, id limit $4"""


async def find_organisations_called(
    conn: Connection, text: str, *, after: tuple[str, UUID] | None, limit: int
) -> list[Organisation]:
    """Give the active customers that have a text in their name, or it as their number, by name."""
    name, last = after or (None, None)
    rows = await conn.fetch(SELECT_ORGANISATIONS_CALLED, text, name, last, limit)
    return [_organisation(row) for row in rows]


SELECT_ORGANISATION_BY_NUMBER = """
select id, name, number, kind, active, current_epoch(), version from organisations where number = $1"""


async def find_organisation_by_number(conn: Connection, number: str) -> Organisation | None:
    row = await conn.fetchrow(SELECT_ORGANISATION_BY_NUMBER, number)
    return None if row is None else _organisation(row)


SELECT_ORGANISATION = """
select id, name, number, kind, active, current_epoch(), version from organisations where id = $1"""


async def find_organisation(conn: Connection, organisation_id: UUID) -> Organisation | None:
    row = await conn.fetchrow(SELECT_ORGANISATION, organisation_id)
    return None if row is None else _organisation(row)


def _organisation(row: Any) -> Organisation:
    organisation_id, name, number, kind, *rest = row
    return Organisation(organisation_id, name, number, OrganisationKind(kind), *rest)


# The row is locked as it stands: a do-nothing update, for a conflict that does nothing gives no row.
