"""Code mails: the e-mails with a one-time code (G1), owed at once and written when they are sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from chassis.arrival import Broken
from chassis.postgres import Connection
from chassis.sealing import Keyring, Place
from chassis.texts import Language
from contracts.auth import LinkCodeRequested, OtpRequested, OtpRequestedV2
from contracts.message import Envelope
from services.notifications import owing
from services.notifications.store import Mail

LINK = "link_code"
KINDS: Mapping[str, str] = {
    purpose: f"{purpose}_code" for purpose in ("login", "activation", "password_reset", "unlink")
}
"""The mail for each purpose of a code."""


async def owe(conn: Connection, requested: OtpRequested | OtpRequestedV2, envelope: Envelope) -> None:
    """Owe the mail. Raises `Broken` for a purpose that this release does not know: it is set aside until one does."""
    kind = KINDS.get(requested.purpose)
    if kind is None:
        raise Broken("the purpose of the code is not known here")
    await owing.owe(
        conn,
        requested,
        envelope,
        kind=kind,
        expires_at=requested.expires_at,
        details={"reference": requested.reference, "minutes": _minutes(requested)},
        sealed=requested.code.token,
    )


@dataclass(frozen=True, slots=True)
class _ToAddress:
    """Whom a mail is to that brings its address itself: what it is about."""

    account_id: UUID
    account_epoch: int = 1
    account_version: int = 1


async def owe_link(conn: Connection, requested: LinkCodeRequested, envelope: Envelope) -> None:
    """Owe the mail to an address that may have no account yet; it stays sealed until it is written."""
    await owing.owe(
        conn,
        _ToAddress(requested.challenge_id),
        envelope,
        kind=LINK,
        expires_at=requested.expires_at,
        details={"reference": requested.reference, "minutes": _minutes(requested)},
        sealed=requested.code.token,
        sealed_address=requested.address.token,
        language=Language(requested.language.clear),
    )


def values(mail: Mail, keyring: Keyring) -> Mapping[str, object]:
    """Give what the template needs; raises `CannotOpen`. The code is in the clear from here to the mail server only."""
    place = Place(mail.message_id, mail.message_type, "code")
    return {
        **mail.details,
        "code": keyring.open(mail.sealed_code or "", place),
        "address": mail.address,
        "expires_at": mail.expires_at,
    }


def _minutes(requested: OtpRequested | OtpRequestedV2 | LinkCodeRequested) -> int:
    return max(1, round((requested.expires_at - requested.issued_at).total_seconds() / 60))
