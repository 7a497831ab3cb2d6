"""Owing: one row for each mail that a message wants, written when it is sent; secrets stay sealed in it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog

from chassis import tracing
from chassis.arrival import Broken
from chassis.postgres import Connection
from chassis.texts import Language
from contracts.message import Envelope
from services.notifications import store

log = structlog.get_logger()


class Wanting(Protocol):
    """A message that wants a mail to an account, in the state that it names or a newer one."""

    @property
    def account_id(self) -> UUID: ...
    @property
    def account_epoch(self) -> int: ...
    @property
    def account_version(self) -> int: ...


async def owe(  # noqa: PLR0913 -- what a mail is, each by its name.
    conn: Connection,
    wanting: Wanting,
    envelope: Envelope,
    *,
    kind: str,
    expires_at: datetime,
    details: Mapping[str, Any] | None = None,
    sealed: str | None = None,
    sealed_address: str | None = None,
    language: Language | None = None,
    urgent: bool = True,
) -> None:
    """Owe a mail, to the address that the message brings or else to the account's.

    What is sealed has just been opened, so it will open again.

    Raises `Broken` for a message that the events about its mail could not name.
    """
    if not _is_uuid(envelope.id):
        raise Broken("ce_id is not a UUID")
    await store.insert_mail(
        conn,
        source=envelope.source,
        message_id=envelope.id,
        message_type=envelope.type,
        kind=kind,
        account_id=wanting.account_id,
        account_epoch=wanting.account_epoch,
        account_version=wanting.account_version,
        details=details or {},
        sealed_code=sealed,
        sealed_address=sealed_address,
        language=language,
        urgent=urgent,
        expires_at=expires_at,
        traceparent=tracing.traceparent(),
    )
    log.info("mail_owed", kind=kind, account_id=str(wanting.account_id))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
