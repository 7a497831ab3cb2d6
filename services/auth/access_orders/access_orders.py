"""Access orders: somebody would like access, and whoever may give it decides (C3, U29)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from chassis import outbox
from chassis.postgres import Connection
from contracts.auth import AccessDecided, AccessOrdered
from contracts.privacy import Sealed
from contracts.rights import BY_NAME, GROUPS, MANAGE_COMPANY_USERS, Grantor, OrganisationKind
from services.auth.access_orders import store
from services.auth.access_orders.errors import NoSuchOrder, TooManyOrders
from services.auth.access_orders.store import Order
from services.auth.organisations import store as organisations_store
from services.auth.organisations.numbers import Number
from services.auth.people import accounts
from services.auth.people import store as people
from services.auth.people.addresses import Address
from services.auth.people.errors import AddressTaken
from services.auth.people.names import FullName
from services.auth.people.store import Person
from services.auth.people.user_names import Login
from services.auth.rights import grants
from services.auth.rights import store as rights
from services.auth.rights.errors import NoSuchGroup
from services.auth.rights.grants import AT_HOME, Giver

log = structlog.get_logger()

ORDERED_BELL = "access_orders"
UNION_GROUPS = tuple(group.name for group in GROUPS if MANAGE_COMPANY_USERS in group.rights)
WAIT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody orders, as they typed it: of the two ways to name the organisation exactly one is given."""

    organisation_id: UUID | None
    number: Number | None
    address: Address
    full_name: FullName
    language: str
    groups: Sequence[str]
    message: str


async def order(conn: Connection, wish: Wish, *, source_digest: bytes, most: int) -> datetime:
    """Note what somebody would like, one order for each who decides; whom and what it names is looked up after the answer.

    Raises `NoSuchGroup`, or `TooManyOrders` where more than so many came from one network address in an hour.
    """
    if await store.count_orders(conn, source_digest) >= most:
        raise TooManyOrders(retry_after=WAIT_SECONDS)
    by_grantor: dict[Grantor, list[str]] = {}
    for name in dict.fromkeys(wish.groups):
        by_grantor.setdefault(_decider(name), []).append(name)
    moments = [
        await store.insert_order(
            conn,
            grantor.value,
            organisation_asked=wish.organisation_id,
            organisation_number=wish.number,
            source_digest=source_digest,
            address=wish.address,
            full_name=wish.full_name,
            language=wish.language,
            groups=groups,
            message=wish.message,
        )
        for grantor, groups in by_grantor.items()
    ]
    conn.context.rings.add(ORDERED_BELL)
    return moments[0]


def _decider(name: str) -> Grantor:
    """Say who decides about a group; raises `NoSuchGroup` for one that nobody can order."""
    group = BY_NAME.get(name)
    for grantor in (Grantor.SUPERUSER, Grantor.UNION):
        if group is not None and group.kind is OrganisationKind.CUSTOMER and grantor in group.granted_by:
            return grantor
    raise NoSuchGroup


async def tell_next(conn: Connection) -> bool:
    """Find out which organisation the oldest new order means, and tell who may decide; False when there is none."""
    found = await store.claim_order(conn)
    if found is None:
        return False
    organisation = (
        await organisations_store.find_organisation(conn, found.organisation_asked)
        if found.organisation_asked
        else await organisations_store.find_organisation_by_number(conn, found.organisation_number or "")
    )
    if organisation is None or not organisation.active or organisation.kind is not OrganisationKind.CUSTOMER:
        await store.settle_order(conn, found.id, None)
        log.info("access_order_for_no_organisation", order_id=str(found.id))
        return True
    await store.settle_order(conn, found.id, organisation.id)
    audience = await _audience(conn, found, organisation.id)
    if audience:
        ordered = AccessOrdered(
            order_id=found.id, organisation_id=organisation.id, audience=tuple(audience), ordered_at=found.ordered_at
        )
        await outbox.add(conn, ordered)
    log.info("access_order_told", order_id=str(found.id), audience=len(audience))
    return True


async def _audience(conn: Connection, found: Order, organisation_id: UUID) -> Sequence[UUID]:
    if found.grantor == Grantor.UNION.value:
        return await rights.find_holders_anywhere(conn, UNION_GROUPS)
    return await rights.find_holders(conn, organisation_id, grants.SUPERUSER_GROUPS)


async def page(
    conn: Connection, giver: Giver, organisation_id: UUID | None, *, after: UUID, limit: int
) -> Sequence[Order]:
    """Give the orders behind an id that wait for a decision: the union's of every organisation, a superuser's of the own."""
    return await store.find_orders(conn, giver.grantor.value, organisation_id, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, why, and which groups instead of those that were ordered."""

    granted: bool
    reason: str | None = None
    groups: Sequence[str] | None = None


async def decide(
    conn: Connection, giver: Giver, organisation_id: UUID | None, order_id: UUID, decision: Decision
) -> UUID | None:
    """Decide an order, once, and owe the mail that says so; gives the account that has access now.

    Who has no account gets one. Raises `NoSuchOrder`, `AddressTaken` where the address is that of another organisation's
    user, and what `grants.give` does.
    """
    await grants.refuse_support(conn, giver.account_id)
    decided = await store.decide_order(
        conn,
        giver.grantor.value,
        organisation_id,
        order_id,
        granted=decision.granted,
        reason=decision.reason,
        by=giver.name,
    )
    if decided is None or decided.organisation_id is None:
        raise NoSuchOrder
    account_id = None
    if decision.granted:
        account_id = await _let_in(conn, giver, decided, decided.organisation_id, decision.groups or decided.groups)
    address: Sealed[Any] = Sealed(decided.address)
    language: Sealed[Any] = Sealed(decided.language)
    assert decided.decided_at is not None  # noqa: S101 -- it has just been.
    told = AccessDecided(
        order_id=order_id,
        organisation_id=decided.organisation_id,
        granted=decision.granted,
        account_id=account_id,
        address=address,
        language=language,
        decided_at=decided.decided_at,
    )
    await outbox.add(conn, told)
    log.info("access_order_decided", order_id=str(order_id), granted=decision.granted)
    return account_id


async def _let_in(conn: Connection, giver: Giver, decided: Order, organisation_id: UUID, groups: Sequence[str]) -> UUID:
    home = organisation_id if giver.grantor in AT_HOME else None
    account = await people.lock_account_by_login(conn, Login(decided.address))
    if account is None:
        account = await accounts.add(conn, decided.address, decided.language, Person(decided.full_name, None, home))
    elif home is not None and await rights.lock_home(conn, account.id) != (True, home):
        raise AddressTaken
    for group in groups:
        await grants.give(conn, giver, account.id, organisation_id, group)
    await store.note_account(conn, decided.id, account.id)
    return account.id
