"""SQL of orders for access."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.addresses import Address
from services.auth.people.names import FullName


@dataclass(frozen=True, slots=True)
class Order:
    id: UUID
    grantor: str
    organisation_id: UUID | None
    organisation_asked: UUID | None
    organisation_number: str | None
    address: Address
    full_name: FullName
    language: str
    groups: tuple[str, ...]
    message: str
    ordered_at: datetime
    decided_at: datetime | None


LOCK_SOURCE = "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 2))"

COUNT_ORDERS = """
select count(*) from access_orders where source_digest = $1 and ordered_at > now() - interval '1 hour'"""


async def count_orders(conn: Connection, source_digest: bytes) -> int:
    """Count what was ordered from one network address in an hour; nobody else orders from there until the transaction ends."""
    await conn.execute(LOCK_SOURCE, source_digest)
    return int(await conn.fetchval(COUNT_ORDERS, source_digest))


INSERT_ORDER = """
insert into access_orders (grantor, organisation_asked, organisation_number, source_digest, address, full_name, language,
    groups, message)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning ordered_at"""


async def insert_order(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    grantor: str,
    *,
    organisation_asked: UUID | None,
    organisation_number: str | None,
    source_digest: bytes,
    address: Address,
    full_name: FullName,
    language: str,
    groups: Sequence[str],
    message: str,
) -> datetime:
    values = (organisation_asked, organisation_number, source_digest, address, full_name, language, groups, message)
    moment: datetime = await conn.fetchval(INSERT_ORDER, grantor, *values)
    return moment


CLAIM_ORDER = """
select id, grantor, organisation_id, organisation_asked, organisation_number, address, full_name, language, groups, message,
    ordered_at, decided_at
from access_orders where told_at is null order by id for update skip locked limit 1"""


async def claim_order(conn: Connection) -> Order | None:
    """Take the oldest order that nobody has looked at."""
    row = await conn.fetchrow(CLAIM_ORDER)
    return None if row is None else _order(row)


SETTLE_ORDER = "update access_orders set told_at = now(), organisation_id = $2 where id = $1"


async def settle_order(conn: Connection, order_id: UUID, organisation_id: UUID | None) -> None:
    """Note which organisation an order means, if there is one."""
    await conn.execute(SETTLE_ORDER, order_id, organisation_id)


SELECT_ORDERS = """
select id, grantor, organisation_id, organisation_asked, organisation_number, address, full_name, language, groups, message,
    ordered_at, decided_at
from access_orders
where grantor = $1 and ($2::uuid is null or organisation_id = $2) and organisation_id is not null and decided_at is null
  and id > $3 order by id limit $4"""


async def find_orders(
    conn: Connection, grantor: str, organisation_id: UUID | None, *, after: UUID, limit: int
) -> list[Order]:
    """Give the orders behind an id that wait for a decision, of one organisation or of all."""
    return [_order(row) for row in await conn.fetch(SELECT_ORDERS, grantor, organisation_id, after, limit)]


DECIDE_ORDER = """
update access_orders set decided_at = now(), granted = $4, reason = $5, decided_by = $6
where id = $3 and grantor = $1 and ($2::uuid is null or organisation_id = $2) and organisation_id is not null
  and decided_at is null
returning id, grantor, organisation_id, organisation_asked, organisation_number, address, full_name, language, groups,
    message, ordered_at, decided_at"""


async def decide_order(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    grantor: str,
    organisation_id: UUID | None,
    order_id: UUID,
    *,
    granted: bool,
    reason: str | None,
    by: str,
) -> Order | None:
    """Decide an order, once, whoever tries at the same time; None for one that does not wait here."""
    row = await conn.fetchrow(DECIDE_ORDER, grantor, organisation_id, order_id, granted, reason, by)
    return None if row is None else _order(row)


NOTE_ACCOUNT = "update access_orders set account_id = $2 where id = $1"


async def note_account(conn: Connection, order_id: UUID, account_id: UUID) -> None:
    """Note whose access came of an order."""
    await conn.execute(NOTE_ACCOUNT, order_id, account_id)


PRUNE_ORDERS = """
delete from access_orders where id in (
    select id from access_orders where ordered_at < now() - make_interval(days => $1) limit $2)"""


async def prune(conn: Connection, *, days: int, limit: int) -> int:
    """Forget orders of that many days ago, decided or not; gives how many."""
    return int((await conn.execute(PRUNE_ORDERS, days, limit)).rpartition(" ")[2])


def _order(row: Any) -> Order:
    return Order(**{**dict(row), "groups": tuple(row["groups"])})
