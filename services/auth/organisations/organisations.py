"""Organisations: whom people may act for; every change is told with the whole state."""

import unicodedata
from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis import outbox
from chassis.postgres import Connection
from contracts.auth import OrganisationChanged
from contracts.rights import OrganisationKind
from services.auth.organisations import store
from services.auth.organisations.errors import (
    NoSuchOrganisation,
    NotACustomer,
    NumberTaken,
    OrganisationClosed,
    WrongOrganisationName,
)
from services.auth.organisations.numbers import Number
from services.auth.organisations.store import Organisation

log = structlog.get_logger()

LONGEST_NAME = 200


def read_name(text: str) -> str:
    """Read an organisation's name: NFC, single spaces; raises `WrongOrganisationName`."""
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    unseen = {"Cc", "Cf", "Co", "Cs", "Cn"}
    if not 1 <= len(name) <= LONGEST_NAME or any(unicodedata.category(each) in unseen for each in name):
        raise WrongOrganisationName
    return name


async def add(
    conn: Connection,
    name: str,
    *,
    number: Number | None = None,
    kind: OrganisationKind = OrganisationKind.CUSTOMER,
    organisation_id: UUID | None = None,
) -> Organisation:
    """Add an organisation and tell of it; raises `NumberTaken`, also for an id that is taken."""
    added = await store.insert_organisation(conn, organisation_id, name, number, kind)
    if added is None:
        raise NumberTaken
    await outbox.add(conn, state_of(added))
    log.info("organisation_added", organisation_id=str(added.id), kind=kind.value)
    return added


async def register(conn: Connection, organisation_id: UUID, name: str, number: Number | None) -> Organisation:
    """Add a customer's organisation, or correct what it is called; raises `NotACustomer` or `NumberTaken`."""
    known = await store.lock_organisation(conn, organisation_id)
    if known is None:
        return await add(conn, name, number=number, organisation_id=organisation_id)
    if known.kind is not OrganisationKind.CUSTOMER:
        raise NotACustomer
    holder = await store.find_organisation_by_number(conn, number) if number else None
    if holder is not None and holder.id != organisation_id:
        raise NumberTaken
    changed = await store.update_organisation(conn, organisation_id, name, number)
    if changed is None:
        return known
    await outbox.add(conn, state_of(changed))
    log.info("organisation_changed", organisation_id=str(organisation_id))
    return changed


async def require(conn: Connection, organisation_id: UUID) -> Organisation:
    """Give an organisation in which something is to be added; raises `NoSuchOrganisation` or `OrganisationClosed`."""
    found = await store.find_organisation(conn, organisation_id)
    if found is None:
        raise NoSuchOrganisation
    if not found.active:
        raise OrganisationClosed
    return found


async def republish(conn: Connection, after: str | None, limit: int) -> Sequence[str]:
    """Tell the state of the organisations behind an id again; gives the ids told of, in order."""
    page = await store.lock_organisations(conn, after=UUID(int=0) if after is None else UUID(after), limit=limit)
    for organisation in page:
        await outbox.add(conn, state_of(organisation))
    return [str(organisation.id) for organisation in page]


async def disown(conn: Connection, lost: OrganisationChanged) -> bool:
    """Tell readers that nobody acts for an organisation that a restored database does not have; False when it has it."""
    if await store.find_organisation(conn, lost.organisation_id) is not None:
        return False
    closed = await store.insert_closed_organisation(conn, lost.organisation_id, lost.name, lost.kind)
    if closed is None:
        return False
    await outbox.add(conn, state_of(closed))
    log.info("organisation_disowned", organisation_id=str(closed.id))
    return True


def state_of(organisation: Organisation) -> OrganisationChanged:
    """Say an organisation's whole state."""
    return OrganisationChanged(
        organisation_id=organisation.id,
        epoch=organisation.epoch,
        version=organisation.version,
        active=organisation.active,
        kind=organisation.kind,
        name=organisation.name,
        number=organisation.number,
    )
