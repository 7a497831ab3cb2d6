"""SQL of the users that an organisation is home to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.addresses import Address


@dataclass(frozen=True, slots=True)
class MailTrouble:
    """The person's present address did not take a mail."""

    smtp_code: int | None
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class User:
    """An account with what it may do at home."""

    id: UUID
    address: Address
    user_name: str | None
    full_name: str | None
    language: str
    active: bool
    epoch: int
    version: int
    changed_at: datetime
    membership_version: int
    groups: tuple[str, ...]
    field_versions: Mapping[str, int]
    """Which version of the account changed a field last."""
    trouble: MailTrouble | None
    sort_key: str = ""

    @property
    def tag(self) -> str:
        """Name this state among all states of the user: their data and their rights (ETag)."""
        return f"{self.epoch}-{self.version}-{self.membership_version}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which users are wanted; None where it does not matter. `text` and `name_text` are folded as what they are looked for in."""

    active: bool | None = None
    group: str | None = None
    trouble: bool | None = None
    text: str | None = None
    name_text: str | None = None


# The organisation is named beside the policy: under it alone an index would not be used.
SELECT_USER = """
select a.id, a.address, a.user_name, a.full_name, a.language, a.active, current_epoch() as epoch, a.version, a.changed_at,
    coalesce(m.version, 0) as membership_version,
    array(select group_name from grants where membership_id = m.id order by group_name collate "C") as groups,
    a.field_versions, t.smtp_code, t.noted_at, '' as sort_key
from accounts a left join memberships m on m.account_id = a.id and m.organisation_id = $1 and not m.disowned
    left join mail_troubles t on t.account_id = a.id
where a.organisation_id = $1 and a.id = $2"""


async def find_user(conn: Connection, organisation_id: UUID, user_id: UUID) -> User | None:
    row = await conn.fetchrow(SELECT_USER, organisation_id, user_id)
    return None if row is None else _user(row)


LOCK_USER = "select true from accounts where organisation_id = $1 and id = $2 for no key update"


async def lock_user(conn: Connection, organisation_id: UUID, user_id: UUID) -> User | None:
    """Find a user at home in an organisation and keep others from changing them until the transaction ends."""
    if not await conn.fetchval(LOCK_USER, organisation_id, user_id):
        return None
    return await find_user(conn, organisation_id, user_id)


SELECT_USERS_BY_NAME = """
select a.id, a.address, a.user_name, a.full_name, a.language, a.active, current_epoch() as epoch, a.version, a.changed_at,
    coalesce(m.version, 0) as membership_version,
    array(select group_name from grants where membership_id = m.id order by group_name collate "C") as groups,
    a.field_versions, t.smtp_code, t.noted_at, a.name_key as sort_key
from accounts a left join memberships m on m.account_id = a.id and m.organisation_id = $1 and not m.disowned
    left join mail_troubles t on t.account_id = a.id
where a.organisation_id = $1 and ($2::boolean is null or a.active = $2)
  and ($3::text is null or exists (select from grants where membership_id = m.id and group_name = $3))
  and ($4::boolean is null or (t.account_id is not null) = $4)
  and ($5::text is null or strpos(a.address, $5) > 0 or strpos(a.user_name_key, $5) > 0 or strpos(a.name_key, $6) > 0)
  and (a.name_key, a.id) > (coalesce($7::text, ''), coalesce($8::uuid, '00000000-0000-0000-0000-000000000000'))
order by a.name_key, a.id limit $9"""

SELECT_USERS_BY_ADDRESS = """
select a.id, a.address, a.user_name, a.full_name, a.language, a.active, current_epoch() as epoch, a.version, a.changed_at,
    coalesce(m.version, 0) as membership_version,
    array(select group_name from grants where membership_id = m.id order by group_name collate "C") as groups,
    a.field_versions, t.smtp_code, t.noted_at, a.address as sort_key
from accounts a left join memberships m on m.account_id = a.id and m.organisation_id = $1 and not m.disowned
    left join mail_troubles t on t.account_id = a.id
where a.organisation_id = $1 and ($2::boolean is null or a.active = $2)
  and ($3::text is null or exists (select from grants where membership_id = m.id and group_name = $3))
  and ($4::boolean is null or (t.account_id is not null) = $4)
  and ($5::text is null or strpos(a.address, $5) > 0 or strpos(a.user_name_key, $5) > 0 or strpos(a.name_key, $6) > 0)
  and (a.address, a.id) > (coalesce($7::text, ''), coalesce($8::uuid, '00000000-0000-0000-0000-000000000000'))
order by a.address, a.id limit $9"""

# Times travel in the cursor as microseconds since 1970.
SELECT_USERS_BY_CHANGE = """
select a.id, a.address, a.user_name, a.full_name, a.language, a.active, current_epoch() as epoch, a.version, a.changed_at,
    coalesce(m.version, 0) as membership_version,
    array(select group_name from grants where membership_id = m.id order by group_name collate "C") as groups,
    a.field_versions, t.smtp_code, t.noted_at, (extract(epoch from a.changed_at) * 1000000)::bigint::text as sort_key
from accounts a left join memberships m on m.account_id = a.id and m.organisation_id = $1 and not m.disowned
    left join mail_troubles t on t.account_id = a.id
where a.organisation_id = $1 and ($2::boolean is null or a.active = $2)
  and ($3::text is null or exists (select from grants where membership_id = m.id and group_name = $3))
  and ($4::boolean is null or (t.account_id is not null) = $4)
  and ($5::text is null or strpos(a.address, $5) > 0 or strpos(a.user_name_key, $5) > 0 or strpos(a.name_key, $6) > 0)
  and (a.changed_at, a.id) < (coalesce(timestamptz 'epoch' + $7::text::bigint * interval '1 microsecond', 'infinity'),
      coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
order by a.changed_at desc, a.id desc limit $9"""

_BY = {"name": SELECT_USERS_BY_NAME, "address": SELECT_USERS_BY_ADDRESS, "changed_at": SELECT_USERS_BY_CHANGE}


async def find_users(  # noqa: PLR0913 -- which, sorted how, from where on.
    conn: Connection, organisation_id: UUID, wanted: Filter, *, sort: str, after: tuple[str, UUID] | None, limit: int
) -> list[User]:
    """Give users at home in an organisation, sorted by `name`, `address` or (the latest first) `changed_at`."""
    key, last = after or (None, None)
    rows = await conn.fetch(
        _BY[sort],
        organisation_id,
        wanted.active,
        wanted.group,
        wanted.trouble,
        wanted.text,
        wanted.name_text,
        key,
        last,
        limit,
    )
    return [_user(row) for row in rows]


def _user(row: Any) -> User:
    fields = dict(row)
    code, noted_at = fields.pop("smtp_code"), fields.pop("noted_at")
    return User(
        **{
            **fields,
            "groups": tuple(fields["groups"]),
            "field_versions": json.loads(fields["field_versions"]),
            "trouble": None if noted_at is None else MailTrouble(code, noted_at),
        }
    )


UPSERT_TROUBLE = """
insert into mail_troubles as t (account_id, organisation_id, mail_id, smtp_code, noted_at)
select a.id, a.organisation_id, $4, $5, $6 from accounts a
where a.id = $1 and current_epoch() = $2 and coalesce((a.field_versions ->> 'address')::integer, 0) <= $3
on conflict on constraint mail_troubles_pk do update
    set mail_id = excluded.mail_id, smtp_code = excluded.smtp_code, noted_at = excluded.noted_at
    where t.noted_at < excluded.noted_at"""


async def note_trouble(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    account_id: UUID,
    *,
    epoch: int,
    version: int,
    mail_id: UUID,
    smtp_code: int | None,
    noted_at: datetime,
) -> bool:
    """Note that an account's address did not take a mail, unless it was replaced after the version that the mail went to."""
    status = await conn.execute(UPSERT_TROUBLE, account_id, epoch, version, mail_id, smtp_code, noted_at)
    return status == "INSERT 0 1"


DELETE_TROUBLE = "delete from mail_troubles where account_id = $1"


async def delete_trouble(conn: Connection, account_id: UUID) -> None:
    """Forget the trouble with an account's address."""
    await conn.execute(DELETE_TROUBLE, account_id)


END_TROUBLE = """
delete from mail_troubles t using accounts a
where t.account_id = $1 and t.noted_at < $4 and a.id = t.account_id
  and current_epoch() = $2 and coalesce((a.field_versions ->> 'address')::integer, 0) <= $3"""


async def end_trouble(conn: Connection, account_id: UUID, *, epoch: int, version: int, before: datetime) -> bool:
    """Forget a trouble from before a time, unless the address was replaced after this version; False where there was none."""
    return await conn.execute(END_TROUBLE, account_id, epoch, version, before) == "DELETE 1"


DELETE_GRANTS_OF_GONE = """
select id, account_id, organisation_id, current_epoch(), version from end_memberships($1)"""


async def end_memberships(conn: Connection, account_id: UUID) -> list[tuple[UUID, UUID, UUID, int, int]]:
    """Take all rights of an account that is no more, in every organisation; gives its memberships as they are told of."""
    return [tuple(row) for row in await conn.fetch(DELETE_GRANTS_OF_GONE, account_id)]


@dataclass(frozen=True, slots=True)
class CompanyUser:
    account_id: UUID
    address: Address
    full_name: str | None
    active: bool
    granted_at: datetime


SELECT_HOLDERS_OF = """
select a.id, a.address, a.full_name, a.active, g.granted_at
from grants g join memberships m on m.id = g.membership_id join accounts a on a.id = m.account_id
where g.organisation_id = $1 and g.group_name = $2 and a.id > $3 order by a.id limit $4"""


async def find_holders_of(
    conn: Connection, organisation_id: UUID, group: str, *, after: UUID, limit: int
) -> list[CompanyUser]:
    """Give the accounts behind an id that have a group in an organisation, wherever they are at home."""
    return [CompanyUser(*row) for row in await conn.fetch(SELECT_HOLDERS_OF, organisation_id, group, after, limit)]


@dataclass(frozen=True, slots=True)
class Own:
    """What an account's holder sees of it."""

    id: UUID
    address: Address
    user_name: str | None
    full_name: str | None
    language: str
    organisation_id: UUID | None


SELECT_OWN = "select id, address, user_name, full_name, language, organisation_id from accounts where id = $1"


async def find_own(conn: Connection, account_id: UUID) -> Own | None:
    row = await conn.fetchrow(SELECT_OWN, account_id)
    return None if row is None else Own(*row)
