"""Account mails: what else its person is told about an account; what is sealed stays so until it is written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.postgres import Connection
from chassis.sealing import Keyring, Place
from chassis.texts import Language
from contracts.auth import (
    AccountBlocked,
    AddressReplaced,
    PasswordChanged,
    PasswordInstructionsRequested,
    UserNameRequested,
)
from contracts.message import Envelope
from services.notifications import owing
from services.notifications.store import Mail

USER_NAME, INSTRUCTIONS = "user_name", "password_instructions"
CHANGED, BLOCKED, REPLACED = "password_changed", "account_blocked", "address_replaced"
KINDS = (USER_NAME, INSTRUCTIONS, CHANGED, BLOCKED, REPLACED)

NEWS = timedelta(days=7)
"""So long a change of password or address is worth telling."""


@dataclass(frozen=True, slots=True)
class _About:
    """The account that a mail is about, in whatever state; the message brings the address."""

    account_id: UUID
    account_epoch: int = 1
    account_version: int = 1


async def owe_user_name(conn: Connection, requested: UserNameRequested, envelope: Envelope) -> None:
    await owing.owe(
        conn,
        requested,
        envelope,
        kind=USER_NAME,
        expires_at=requested.expires_at,
        sealed=requested.user_name.token,
    )


async def owe_instructions(conn: Connection, requested: PasswordInstructionsRequested, envelope: Envelope) -> None:
    await owing.owe(
        conn, requested, envelope, kind=INSTRUCTIONS, expires_at=requested.expires_at, sealed=requested.token.token
    )


async def owe_change(conn: Connection, changed: PasswordChanged, envelope: Envelope) -> None:
    moment = changed.changed_at
    details = {"changed_at": moment.isoformat()}
    await owing.owe(conn, changed, envelope, kind=CHANGED, expires_at=moment + NEWS, details=details, urgent=False)


async def owe_block(conn: Connection, blocked: AccountBlocked, envelope: Envelope) -> None:
    """Owe the mail about a block, which is not sent once the block is over."""
    await owing.owe(conn, blocked, envelope, kind=BLOCKED, expires_at=blocked.until)


async def owe_farewell(conn: Connection, replaced: AddressReplaced, envelope: Envelope) -> None:
    """Owe the mail to the address that an account no longer has; it stays sealed until it is written."""
    await owing.owe(
        conn,
        _About(replaced.account_id),
        envelope,
        kind=REPLACED,
        expires_at=replaced.replaced_at + NEWS,
        sealed_address=replaced.address.token,
        language=Language(replaced.language.clear),
        urgent=False,
    )


def user_name(mail: Mail, keyring: Keyring) -> Mapping[str, object]:
    """Give what the template needs; raises `CannotOpen`, as below."""
    return {"user_name": keyring.open(mail.sealed_code or "", _place(mail, "user_name"))}


def instructions(mail: Mail, keyring: Keyring) -> Mapping[str, object]:
    """Give what the template needs. The token is in the clear from here to the mail server only."""
    token = keyring.open(mail.sealed_code or "", _place(mail, "token"))
    return {"token": token, "address": mail.address, "expires_at": mail.expires_at}


def change(mail: Mail, _: Keyring) -> Mapping[str, object]:
    return {"address": mail.address, "changed_at": datetime.fromisoformat(str(mail.details["changed_at"]))}


def block(mail: Mail, _: Keyring) -> Mapping[str, object]:
    left = (mail.expires_at - mail.owed_at).total_seconds()
    return {"address": mail.address, "expires_at": mail.expires_at, "minutes": max(1, math.ceil(left / 60))}


def farewell(mail: Mail, _: Keyring) -> Mapping[str, object]:
    return {"address": mail.address}


def _place(mail: Mail, field: str) -> Place:
    return Place(mail.message_id, mail.message_type, field)
