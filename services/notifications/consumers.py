"""The Kafka edge of notifications."""

from chassis.handlers import Handlers, Lane
from chassis.postgres import Connection
from contracts.auth import (
    AccessDecided,
    AccessOrdered,
    AccountBlocked,
    AccountChanged,
    AccountErased,
    AddressReplaced,
    LinkCodeRequested,
    OtpRequested,
    OtpRequestedV2,
    PasswordChanged,
    PasswordInstructionsRequested,
    UserNameRequested,
)
from contracts.message import Envelope
from services.notifications import access_mails, account_mails, code_mails, contacts
from services.notifications.courier import MAILS_BELL

HANDLERS = Handlers()


@HANDLERS.on(AccountChanged, lane=Lane.URGENT)
async def keep_contact(conn: Connection, changed: AccountChanged, _envelope: Envelope) -> None:
    await contacts.keep(conn, changed)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(AccountErased, lane=Lane.URGENT)
async def forget_contact(conn: Connection, erased: AccountErased, _envelope: Envelope) -> None:
    await contacts.forget(conn, erased)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(OtpRequested, lane=Lane.URGENT)
async def owe_login_code_mail(conn: Connection, requested: OtpRequested, envelope: Envelope) -> None:
    await code_mails.owe(conn, requested, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(OtpRequestedV2, lane=Lane.URGENT)
async def owe_code_mail(conn: Connection, requested: OtpRequestedV2, envelope: Envelope) -> None:
    await code_mails.owe(conn, requested, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(LinkCodeRequested, lane=Lane.URGENT)
async def owe_link_code_mail(conn: Connection, requested: LinkCodeRequested, envelope: Envelope) -> None:
    await code_mails.owe_link(conn, requested, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(UserNameRequested, lane=Lane.URGENT)
async def owe_user_name_mail(conn: Connection, requested: UserNameRequested, envelope: Envelope) -> None:
    await account_mails.owe_user_name(conn, requested, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(PasswordInstructionsRequested, lane=Lane.URGENT)
async def owe_instructions_mail(conn: Connection, requested: PasswordInstructionsRequested, envelope: Envelope) -> None:
    await account_mails.owe_instructions(conn, requested, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(PasswordChanged, lane=Lane.URGENT)
async def owe_password_notice(conn: Connection, changed: PasswordChanged, envelope: Envelope) -> None:
    await account_mails.owe_change(conn, changed, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(AddressReplaced, lane=Lane.URGENT)
async def owe_farewell(conn: Connection, replaced: AddressReplaced, envelope: Envelope) -> None:
    await account_mails.owe_farewell(conn, replaced, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(AccountBlocked, lane=Lane.URGENT)
async def owe_block_notice(conn: Connection, blocked: AccountBlocked, envelope: Envelope) -> None:
    await account_mails.owe_block(conn, blocked, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(AccessOrdered)
async def owe_order_notices(conn: Connection, ordered: AccessOrdered, envelope: Envelope) -> None:
    await access_mails.owe_order(conn, ordered, envelope)
    conn.context.rings.add(MAILS_BELL)


@HANDLERS.on(AccessDecided)
async def owe_decision_notice(conn: Connection, decided: AccessDecided, envelope: Envelope) -> None:
    await access_mails.owe_decision(conn, decided, envelope)
    conn.context.rings.add(MAILS_BELL)
