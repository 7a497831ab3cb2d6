"""Checks: what `doctor` looks at in notifications besides: the mail server."""

from collections.abc import Sequence

import aiosmtplib

from chassis.upkeep import Finding, Look, Verdict
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import Mailer


def checks(settings: NotificationsSettings) -> Sequence[Look]:
    """Give the one check."""

    async def mail_server() -> Finding:
        where = f"the mail server at {settings.smtp_host}:{settings.smtp_port}"
        try:
            await Mailer(settings).greet()
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            return Finding(
                "smtp",
                Verdict.WRONG,
                f"{where} does not take us: {type(error).__name__}",
                "see that it runs, and that SAMBAND_SMTP_HOST, _PORT, _STARTTLS, _USER and _PASSWORD are right; mails wait",
            )
        return Finding("smtp", Verdict.OK, f"{where} takes us{' over TLS' if settings.smtp_starttls else ''}")

    return (mail_server,)
