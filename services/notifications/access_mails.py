"""Access mails: that somebody orders access, to whoever decides; and what came of it, to whoever ordered (C3, U29)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chassis.postgres import Connection
from chassis.sealing import Keyring
from chassis.texts import Language
from contracts.auth import AccessDecided, AccessOrdered
from contracts.message import Envelope
from services.notifications import owing
from services.notifications.store import Mail

ORDERED, GRANTED, DECLINED = "access_ordered", "access_granted", "access_declined"
TO_WHOEVER_ORDERED = (GRANTED, DECLINED)
KINDS = (ORDERED, *TO_WHOEVER_ORDERED)

NEWS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _To:
    """Whom a mail is to: an account, in whatever state, or what the message is about."""

    account_id: UUID
    account_epoch: int = 1
    account_version: int = 1


async def owe_order(conn: Connection, ordered: AccessOrdered, envelope: Envelope) -> None:
    """Owe a mail to each who may decide: it says that something waits, and nothing of whom or what."""
    for account_id in ordered.audience:
        expires_at = ordered.ordered_at + NEWS
        await owing.owe(conn, _To(account_id), envelope, kind=ORDERED, expires_at=expires_at, urgent=False)


async def owe_decision(conn: Connection, decided: AccessDecided, envelope: Envelope) -> None:
    """Owe the mail to whoever ordered, at the address that was typed; it stays sealed until it is written."""
    await owing.owe(
        conn,
        _To(decided.order_id),
        envelope,
        kind=GRANTED if decided.granted else DECLINED,
        expires_at=decided.decided_at + NEWS,
        sealed_address=decided.address.token,
        language=Language(decided.language.clear),
        urgent=False,
    )


def values(mail: Mail, _: Keyring) -> Mapping[str, object]:
    """Give what the templates need."""
    return {"address": mail.address}
