"""SQL of imported people who are somebody's duplicates."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.addresses import Address


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An imported person who has no account, for somebody has the address or the user name."""

    id: UUID
    reason: str
    user_name: str | None
    address: Address
    full_name: str | None
    language: str
    active: bool
    groups: tuple[str, ...]
    imported_at: datetime


SELECT_SAME = """
select true from accounts
where address = $1 and organisation_id = $2 and user_name_key is not distinct from $3"""


async def is_here(conn: Connection, organisation_id: UUID, address: Address, user_name_key: str | None) -> bool:
    """Tell whether an organisation is home to a person with this address and user name."""
    return bool(await conn.fetchval(SELECT_SAME, address, organisation_id, user_name_key))


INSERT_DUPLICATE = """
insert into import_duplicates (organisation_id, reason, user_name, user_name_key, address, full_name, language, active, groups)
values ($1, $2, $3, coalesce($4::text, ''), $5, $6, $7, $8, $9)
on conflict on constraint import_duplicates_once do update set reason = excluded.reason returning id"""


async def keep_duplicate(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    organisation_id: UUID,
    reason: str,
    *,
    user_name: str | None,
    user_name_key: str | None,
    address: Address,
    full_name: str | None,
    language: str,
    active: bool,
    groups: tuple[str, ...],
) -> UUID:
    """Keep a duplicate until somebody clears it up, once however often it is imported; gives its id."""
    values = (user_name, user_name_key, address, full_name, language, active, groups)
    duplicate_id: UUID = await conn.fetchval(INSERT_DUPLICATE, organisation_id, reason, *values)
    return duplicate_id


SELECT_DUPLICATES = """
select id, reason, user_name, address, full_name, language, active, groups, imported_at from import_duplicates
where organisation_id = $1 and id > $2 order by id limit $3"""


async def find_duplicates(conn: Connection, organisation_id: UUID, *, after: UUID, limit: int) -> list[Duplicate]:
    return [_duplicate(row) for row in await conn.fetch(SELECT_DUPLICATES, organisation_id, after, limit)]


DELETE_DUPLICATE = """
delete from import_duplicates where organisation_id = $1 and id = $2
returning id, reason, user_name, address, full_name, language, active, groups, imported_at"""


async def take_duplicate(conn: Connection, organisation_id: UUID, duplicate_id: UUID) -> Duplicate | None:
    """Take a duplicate out of those that wait, once, whoever tries at the same time; None when it does not wait."""
    row = await conn.fetchrow(DELETE_DUPLICATE, organisation_id, duplicate_id)
    return None if row is None else _duplicate(row)


def _duplicate(row: Any) -> Duplicate:
    return Duplicate(**{**dict(row), "groups": tuple(row["groups"])})
