"""Mails to send to a mailbox."""

from __future__ import annotations

from email.message import EmailMessage

import aiosmtplib

from deploy.local.mailbox import Mailbox

KARI = "kari@example.org"
OLA = "ola@example.org"


def mail(subject: str = "Koden din", *, to: str = KARI) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Samband <post@samband.example>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<1@samband.example>"
    message.set_content("Koden er 123456. Hilsen Bjørg\n")
    message.add_alternative("<p>Koden er <b>123456</b>.</p>", subtype="html")
    return message


async def send(mailbox: Mailbox, message: EmailMessage, *recipients: str, within: float = 5.0) -> None:
    await aiosmtplib.send(
        message,
        recipients=recipients or [message["To"]],
        hostname=mailbox.smtp_host,
        port=mailbox.smtp_port,
        timeout=within,
    )
