"""Accounts: who may log in; every change is told with the whole state."""

from typing import Any

import structlog

from chassis import outbox
from chassis.postgres import Connection
from contracts.auth import AccountChanged
from contracts.privacy import Sealed
from services.auth import store
from services.auth.addresses import Address
from services.auth.errors import AddressTaken
from services.auth.store import Account

log = structlog.get_logger()


async def add(conn: Connection, address: Address, language: str) -> Account:
    """Add an account and tell of it; raises `AddressTaken` (L15)."""
    account = await store.insert_account(conn, address, language)
    if account is None:
        raise AddressTaken
    await outbox.add(conn, _changed(account))
    log.info("account_added", account_id=str(account.id))
    return account


def _changed(account: Account) -> AccountChanged:
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
