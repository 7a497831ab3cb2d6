"""Login code mails: the e-mail with a one-time code (G1), owed at once and written when it is sent."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import structlog

from chassis import tracing
from chassis.arrival import Broken
from chassis.postgres import Connection
from chassis.sealing import Keyring, Place
from contracts.auth import OtpRequested
from contracts.message import Envelope
from services.notifications import store
from services.notifications.store import Mail

log = structlog.get_logger()

KIND = "login_code"


async def owe(conn: Connection, requested: OtpRequested, envelope: Envelope) -> None:
    """Owe the mail. The code stays sealed in the row; it has just been opened, so it will open again.

    Raises `Broken` for a message that the events about its mail could not name.
    """
    if not _is_uuid(envelope.id):
        raise Broken("ce_id is not a UUID")
    await store.insert_mail(
        conn,
        source=envelope.source,
        message_id=envelope.id,
        message_type=envelope.type,
        kind=KIND,
        account_id=requested.account_id,
        account_epoch=requested.account_epoch,
        account_version=requested.account_version,
        details={"reference": requested.reference, "minutes": _minutes(requested)},
        sealed_code=requested.code.token,
        urgent=True,
        expires_at=requested.expires_at,
        traceparent=tracing.traceparent(),
    )
    log.info("login_code_mail_owed", account_id=str(requested.account_id))


def values(mail: Mail, keyring: Keyring) -> Mapping[str, object]:
    """Give what the template needs; raises `CannotOpen`. The code is in the clear from here to the mail server only."""
    place = Place(mail.message_id, mail.message_type, "code")
    expires_at: datetime = mail.expires_at
    return {
        **mail.details,
        "code": keyring.open(mail.sealed_code or "", place),
        "address": mail.address,
        "expires_at": expires_at,
    }


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _minutes(requested: OtpRequested) -> int:
    return max(1, round((requested.expires_at - requested.issued_at).total_seconds() / 60))
