"""SQL of people."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from chassis.postgres import Connection
from services.auth.people.addresses import Address
from services.auth.people.errors import AddressTaken, UserNameTaken
from services.auth.people.names import FullName, sort_key
from services.auth.people.user_names import Login, UserNameKey


@dataclass(frozen=True, slots=True)
class Account:
    id: UUID
    address: Address
    language: str
    active: bool
    epoch: int
    """That of the whole service, raised when it was restored."""
    version: int


@dataclass(frozen=True, slots=True)
class ErasedAccount:
    """All that is left of an account."""

    id: UUID
    epoch: int
    version: int


@dataclass(frozen=True, slots=True)
class Person:
    """Who an account is for, as far as it is known; `user_name` is None for who logs in with the address."""

    full_name: FullName | None = None
    user_name: tuple[str, UserNameKey] | None = None
    organisation_id: UUID | None = None
    active: bool = True


INSERT_ACCOUNT = """
insert into accounts (address, language, active, full_name, name_key, user_name, user_name_key, organisation_id)
values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing
returning id, address, language, active, current_epoch(), version"""


async def insert_account(conn: Connection, address: Address, language: str, person: Person) -> Account | None:
    """Add an account; None when the address or the user name is taken."""
    shown, key = person.user_name or (None, None)
    name, name_key = person.full_name, sort_key(person.full_name or "")
    row = await conn.fetchrow(
        INSERT_ACCOUNT, address, language, person.active, name, name_key, shown, key, person.organisation_id
    )
    return None if row is None else Account(*row)


INSERT_ACCOUNTS = """
insert into accounts (address, language, active, full_name, name_key, user_name, user_name_key, organisation_id)
select address, language, active, full_name, name_key, user_name, user_name_key, $8
from unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::text[])
    as new (address, language, active, full_name, name_key, user_name, user_name_key)
on conflict do nothing
returning id, address, language, active, current_epoch(), version"""


async def insert_accounts(
    conn: Connection, people: Sequence[tuple[Address, str, Person]], organisation_id: UUID
) -> list[Account]:
    """Add accounts to an organisation that is home to all; gives those whose address and user name were free."""
    rows = [
        (
            address,
            language,
            person.active,
            person.full_name,
            sort_key(person.full_name or ""),
            *(person.user_name or (None, None)),
        )
        for address, language, person in people
    ]
    columns = [[row[number] for row in rows] for number in range(7)]
    return [Account(*row) for row in await conn.fetch(INSERT_ACCOUNTS, *columns, organisation_id)]


SELECT_ADDRESS_TAKEN = "select address_taken($1)"


async def is_address_taken(conn: Connection, address: Address) -> bool:
    """Tell whether anybody has an address, of whatever organisation and active or not (L17, L18)."""
    return bool(await conn.fetchval(SELECT_ADDRESS_TAKEN, address))


@dataclass(frozen=True, slots=True)
class Edit:
    """All that can be edited of an account, as it shall be from now on."""

    address: Address
    user_name: tuple[str, UserNameKey] | None
    full_name: FullName | None
    language: str
    active: bool


UPDATE_ACCOUNT = """
update accounts a set address = $2, language = $3, active = $4, full_name = $5, name_key = $6, user_name = $7,
    user_name_key = $8, version = version + 1, changed_at = now(),
    field_versions = field_versions || (
        select coalesce(jsonb_object_agg(field, version + 1), '{}') from unnest($9::text[]) as changed (field))
where id = $1
returning id, address, language, active, current_epoch(), version"""


async def update_account(conn: Connection, account_id: UUID, edit: Edit, changed: Collection[str]) -> Account:
    """Write an account that the caller has locked, and which fields of it have changed; raises `AddressTaken` and so on."""
    shown, key = edit.user_name or (None, None)
    name, name_key = edit.full_name, sort_key(edit.full_name or "")
    values = (edit.address, edit.language, edit.active, name, name_key, shown, key, list(changed))
    try:
        row = await conn.fetchrow(UPDATE_ACCOUNT, account_id, *values)
    except asyncpg.UniqueViolationError as error:
        raise (AddressTaken if error.constraint_name == "accounts_address_once" else UserNameTaken) from None
    assert row is not None  # noqa: S101 -- the caller has locked it.
    return Account(*row)


SWITCH_OFF_ACCOUNT = """
update accounts set active = false, version = version + 1, changed_at = now(),
    field_versions = field_versions || jsonb_build_object('active', version + 1)
where id = $1 and active returning id, address, language, active, current_epoch(), version"""


async def switch_off_account(conn: Connection, account_id: UUID) -> Account | None:
    """Let an account log in no more; None for one that may not, or is not there."""
    row = await conn.fetchrow(SWITCH_OFF_ACCOUNT, account_id)
    return None if row is None else Account(*row)


SELECT_ACCOUNTS = """
select id, address, language, active, current_epoch(), version from accounts where address > $1 order by address limit $2"""


async def find_accounts(conn: Connection, *, after: str = "", limit: int = 100) -> list[Account]:
    return [Account(*row) for row in await conn.fetch(SELECT_ACCOUNTS, after, limit)]


LOCK_ACCOUNT_BY_LOGIN = """
select id, address, language, active, current_epoch(), version from accounts where address = $1 or user_name_key = $1
for no key update"""


async def lock_account_by_login(conn: Connection, login: Login) -> Account | None:
    """Find an account by its address or its user name, which is never an address.

    It is kept from changing, and others from issuing codes for it, until the transaction ends.
    """
    row = await conn.fetchrow(LOCK_ACCOUNT_BY_LOGIN, login)
    return None if row is None else Account(*row)


LOCK_ACCOUNT = """
select id, address, language, active, current_epoch(), version from accounts where id = $1 for no key update"""


async def lock_account(conn: Connection, account_id: UUID) -> Account | None:
    """Find an account by its id; locked as above."""
    row = await conn.fetchrow(LOCK_ACCOUNT, account_id)
    return None if row is None else Account(*row)


SELECT_ACCOUNT = "select id, address, language, active, current_epoch(), version from accounts where id = $1"


async def get_account(conn: Connection, account_id: UUID) -> Account:
    """Give an account that the transaction has locked."""
    row = await conn.fetchrow(SELECT_ACCOUNT, account_id)
    assert row is not None  # noqa: S101 -- it is locked.
    return Account(*row)


SELECT_USER_NAME = "select coalesce(user_name, address) from accounts where id = $1"


async def get_user_name(conn: Connection, account_id: UUID) -> str:
    """Give what an account logs in with: its user name, or its address where it has none."""
    return str(await conn.fetchval(SELECT_USER_NAME, account_id))


RAISE_SECURITY_EPOCH = """
update accounts set security_epoch = security_epoch + 1 where id = $1
returning (current_epoch()::bigint << 32) | security_epoch, now()"""

# In the order in which whoever ends his own sessions takes them.
END_SESSIONS_OF_ACCOUNT = """
update sessions set ended_at = now() where id in (
    select id from sessions where account_id = $1 and ended_at is null and id is distinct from $2 order by id for update)"""


async def raise_security_epoch(
    conn: Connection, account_id: UUID, *, except_session: UUID | None
) -> tuple[int, datetime] | None:
    """End an account's sessions but one; gives the epoch below which its tokens are void, and when. None without account."""
    row = await conn.fetchrow(RAISE_SECURITY_EPOCH, account_id)
    if row is None:
        return None
    await conn.execute(END_SESSIONS_OF_ACCOUNT, account_id, except_session)
    return row[0], row[1]


# What is left looks like what a stranger asked for: who asked in another browser learns nothing from it.
VOID_CODES = """
update challenges set code_digest = null
where account_id = $1 and code_digest is not null and used_at is null and expires_at > now()"""


async def void_codes(conn: Connection, account_id: UUID) -> None:
    """Make the codes and links that were issued to an account good for nothing."""
    await conn.execute(VOID_CODES, account_id)


LOCK_ACCOUNTS = """
select id, address, language, active, current_epoch(), version from accounts
where id > $1 order by id limit $2 for no key update"""


async def lock_accounts(conn: Connection, *, after: UUID, limit: int) -> list[Account]:
    """Give the accounts behind an id, and keep them from changing until the transaction ends."""
    return [Account(*row) for row in await conn.fetch(LOCK_ACCOUNTS, after, limit)]


DELETE_ACCOUNT = """
with gone as (delete from accounts where id = $1 returning id, version + 1 as version)
insert into erased_accounts (id, version) select id, version from gone
returning id, current_epoch(), version"""


async def delete_account(conn: Connection, account_id: UUID) -> ErasedAccount | None:
    """Erase an account with all that hangs on it; None when there is none."""
    row = await conn.fetchrow(DELETE_ACCOUNT, account_id)
    return None if row is None else ErasedAccount(*row)


INSERT_ERASED_ACCOUNT = """
insert into erased_accounts (id, version) select $1::uuid, 1
where not exists (select from accounts where id = $1) on conflict on constraint erased_accounts_pk do nothing
returning id, current_epoch(), version"""


async def insert_erased_account(conn: Connection, account_id: UUID) -> ErasedAccount | None:
    """Note as erased what this database never had; None for one that it has, or has noted."""
    row = await conn.fetchrow(INSERT_ERASED_ACCOUNT, account_id)
    return None if row is None else ErasedAccount(*row)


SELECT_ERASED_ACCOUNTS = """
select id, current_epoch(), version from erased_accounts where id > $1 order by id limit $2"""


async def find_erased_accounts(conn: Connection, *, after: UUID, limit: int) -> list[ErasedAccount]:
    return [ErasedAccount(*row) for row in await conn.fetch(SELECT_ERASED_ACCOUNTS, after, limit)]
