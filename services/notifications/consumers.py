"""The Kafka edge of notifications."""

from chassis.handlers import Handlers, Lane
from chassis.postgres import Connection
from contracts.auth import AccountChanged, AccountErased, OtpRequested
from contracts.message import Envelope
from services.notifications import contacts, login_code_mails
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
    await login_code_mails.owe(conn, requested, envelope)
    conn.context.rings.add(MAILS_BELL)
