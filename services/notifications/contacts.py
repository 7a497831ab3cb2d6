"""Contacts: an own copy of where mail reaches each account."""

import structlog

from chassis.postgres import Connection
from chassis.texts import Language
from contracts.auth import AccountChanged, AccountErased
from services.notifications import store

log = structlog.get_logger()


async def keep(conn: Connection, changed: AccountChanged) -> None:
    """Keep an account's address and language, unless a newer state is known already."""
    kept = await store.replace_contact(
        conn,
        changed.account_id,
        epoch=changed.epoch,
        version=changed.version,
        active=changed.active,
        address=changed.address.clear,
        language=Language(changed.language.clear),
    )
    log.info("contact_kept" if kept else "older_contact_passed_over", account_id=str(changed.account_id))


async def forget(conn: Connection, erased: AccountErased) -> None:
    """Keep nothing of an erased account but id and version, unless a newer state is known already."""
    forgotten = await store.replace_contact(
        conn, erased.account_id, epoch=erased.epoch, version=erased.version, active=False, address=None, language=None
    )
    log.info("contact_forgotten" if forgotten else "older_contact_passed_over", account_id=str(erased.account_id))
