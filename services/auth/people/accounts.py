"""Accounts: who may log in; every change is told with the whole state."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from chassis import outbox
from chassis.postgres import Connection
from chassis.texts import Language
from contracts.auth import AccountChanged, AccountErased, AddressReplaced
from contracts.privacy import Sealed
from services.auth.people import store
from services.auth.people.addresses import Address
from services.auth.people.errors import AddressTaken, NoSuchAccount, UserNameTaken, WrongLanguage
from services.auth.people.store import Account, Edit, ErasedAccount, Person

log = structlog.get_logger()

NOBODY_KNOWN = Person()


async def add(conn: Connection, address: Address, language: str, person: Person = NOBODY_KNOWN) -> Account:
    """Add an account and tell of it; raises `AddressTaken` (L15) or `UserNameTaken` (L16)."""
    account = await store.insert_account(conn, address, language, person)
    if account is None:
        raise AddressTaken if await store.is_address_taken(conn, address) else UserNameTaken
    await outbox.add(conn, state_of(account))
    log.info("account_added", account_id=str(account.id))
    return account


async def add_all(
    conn: Connection, people: Sequence[tuple[Address, str, Person]], organisation_id: UUID
) -> Sequence[Account]:
    """Add accounts to an organisation that is home to all, and tell of them; those that something is taken of are left out."""
    added = await store.insert_accounts(conn, people, organisation_id)
    await outbox.add_all(conn, [state_of(account) for account in added])
    log.info("accounts_added", organisation_id=str(organisation_id), count=len(added))
    return added


async def edit(conn: Connection, account_id: UUID, as_it_shall_be: Edit, changed: Collection[str]) -> Account:
    """Edit an account that the caller has locked, and tell of it; raises `AddressTaken` (L15) or `UserNameTaken` (L16).

    The transaction is then good for nothing more.
    """
    account = await store.update_account(conn, account_id, as_it_shall_be, changed)
    await outbox.add(conn, state_of(account))
    log.info("account_edited", account_id=str(account_id), fields=sorted(changed))
    return account


async def switch_off(conn: Connection, account_id: UUID) -> bool:
    """Let an account log in no more, and tell of it; False for one that may not already, or is not there."""
    account = await store.switch_off_account(conn, account_id)
    if account is None:
        return False
    await outbox.add(conn, state_of(account))
    log.info("account_switched_off", account_id=str(account_id))
    return True


async def tell_old_address(conn: Connection, account_id: UUID, old: Address, language: str, moment: datetime) -> None:
    """Owe a mail to the address that an account had until now: who reads it there may not know of the change."""
    address: Sealed[Any] = Sealed(old)
    sealed: Sealed[Any] = Sealed(language)
    await outbox.add(conn, AddressReplaced(account_id=account_id, address=address, language=sealed, replaced_at=moment))
    log.info("old_address_told", account_id=str(account_id))


def language_of(text: str) -> Language:
    """Read the language that somebody wants to be written to in; raises `WrongLanguage`."""
    try:
        return Language(text)
    except ValueError:
        raise WrongLanguage from None


async def erase(conn: Connection, account_id: UUID) -> None:
    """Erase an account and tell of it; raises `NoSuchAccount`."""
    erased = await store.delete_account(conn, account_id)
    if erased is None:
        raise NoSuchAccount
    await outbox.add(conn, tombstone_of(erased))
    log.info("account_erased", account_id=str(account_id))


async def disown(conn: Connection, account_id: UUID) -> bool:
    """Tell readers to forget an account that a restored database does not have; False when it has it, or has told so."""
    erased = await store.insert_erased_account(conn, account_id)
    if erased is None:
        return False
    await outbox.add(conn, tombstone_of(erased))
    log.info("account_disowned", account_id=str(account_id))
    return True


async def republish(conn: Connection, after: str | None, limit: int) -> Sequence[str]:
    """Tell the state of the accounts behind an id again; gives the ids told of, in order."""
    page = await store.lock_accounts(conn, after=_id(after), limit=limit)
    for account in page:
        await outbox.add(conn, state_of(account))
    return [str(account.id) for account in page]


async def republish_erased(conn: Connection, after: str | None, limit: int) -> Sequence[str]:
    """Tell of erased accounts again; gives the ids told of, in order."""
    page = await store.find_erased_accounts(conn, after=_id(after), limit=limit)
    for erased in page:
        await outbox.add(conn, tombstone_of(erased))
    return [str(erased.id) for erased in page]


def _id(text: str | None) -> UUID:
    """Read an id, or give the one before all."""
    return UUID(int=0) if text is None else UUID(text)


def state_of(account: Account) -> AccountChanged:
    """Say an account's whole state."""
    address: Sealed[Any] = Sealed(account.address)
    language: Sealed[Any] = Sealed(account.language)
    return AccountChanged(
        account_id=account.id,
        epoch=account.epoch,
        version=account.version,
        active=account.active,
        address=address,
        language=language,
    )


def tombstone_of(erased: ErasedAccount) -> AccountErased:
    """Say that an account is no more."""
    return AccountErased(account_id=erased.id, epoch=erased.epoch, version=erased.version)
