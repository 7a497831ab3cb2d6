"""SQL of people."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.addresses import Address
from services.auth.people.user_names import Login


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


INSERT_ACCOUNT = """
insert into accounts (address, language) values ($1, $2) on conflict on constraint accounts_address_once do nothing
returning id, address, language, active, current_epoch(), version"""


async def insert_account(conn: Connection, address: Address, language: str) -> Account | None:
    """Add an account; None when the address is taken."""
    row = await conn.fetchrow(INSERT_ACCOUNT, address, language)
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
