"""SMTP: kept connections to the mail server, and what each of its answers means for a mail."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import aiosmtplib
import structlog

from services.notifications.settings import NotificationsSettings

log = structlog.get_logger()

CLOSING = 421
PERMANENT = 500


class Verdict(Enum):
    """What became of one hand-over."""

    TAKEN = "taken"
    LATER = "later"
    """The server said 4xx to this mail, or never said whether it took it."""
    NEVER = "never"
    """The server said 5xx to this mail."""
    OUTAGE = "outage"
    """The server was not to be had; no fault of this mail."""
    WITHDRAWN = "withdrawn"
    """`still_wanted` said no; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    code: int | None = None


class Mailer:
    """Connections to one mail server, opened when needed, kept, and replaced when they break."""

    def __init__(self, settings: NotificationsSettings) -> None:
        self._settings = settings
        self._idle: list[aiosmtplib.SMTP] = []

    async def hand_over(
        self, sender: str, recipient: str, text: bytes, still_wanted: Callable[[], Awaitable[bool]]
    ) -> Answer:
        """Give one mail to the server. `still_wanted` is asked after the addresses were taken and before the text goes.

        Ends within the two times of the settings. Once the text's final dot is sent, a broken connection leaves unknown
        whether the mail was taken: it is then sent again, with the same Message-ID.
        """
        try:
            async with asyncio.timeout(self._settings.smtp_answer_seconds):
                connection = self._kept() or await self._connect()
                refused = await self._address(connection, sender, recipient)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            log.warning("mail_server_away", error=type(error).__name__)
            return Answer(Verdict.OUTAGE, getattr(error, "code", None))
        try:
            if refused is None and await still_wanted():
                return await self._text(connection, text)
            await self._keep(connection, reset=True)
        except BaseException:
            connection.close()
            raise
        return refused or Answer(Verdict.WITHDRAWN)

    async def greet(self) -> None:
        """Connect as for a mail, and say good-bye; raises what the server or the way to it has against it."""
        async with asyncio.timeout(self._settings.smtp_answer_seconds):
            connection = await self._connect()
        await self._quit(connection)

    async def close(self) -> None:
        """Say good-bye on every connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(self._quit(connection) for connection in idle))

    def _kept(self) -> aiosmtplib.SMTP | None:
        """Take a kept connection that the server has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected:
                return connection
        return None

    async def _connect(self) -> aiosmtplib.SMTP:
        settings = self._settings
        connection = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            local_hostname=settings.message_id_domain,  # Else a look-up of our own name, in the time of the answer.
            start_tls=settings.smtp_starttls,
            username=settings.smtp_user,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            timeout=settings.smtp_answer_seconds,
        )
        await connection.connect()
        return connection

    async def _address(self, connection: aiosmtplib.SMTP, sender: str, recipient: str) -> Answer | None:
        try:
            await connection.mail(sender)
            await connection.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as error:
            return _refusal(connection, error.code)
        except BaseException:
            connection.close()
            raise
        return None

    async def _text(self, connection: aiosmtplib.SMTP, text: bytes) -> Answer:
        try:
            async with asyncio.timeout(self._settings.smtp_accept_seconds):
                response = await connection.data(text, timeout=self._settings.smtp_accept_seconds)
        except aiosmtplib.SMTPDataError as error:
            answer = _refusal(connection, error.code)
            await self._keep(connection, reset=True)
            return answer
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            connection.close()
            log.warning("mail_server_left_unknown", error=type(error).__name__)
            return Answer(Verdict.LATER)
        await self._keep(connection, reset=False)
        return Answer(Verdict.TAKEN, response.code)

    async def _keep(self, connection: aiosmtplib.SMTP, *, reset: bool) -> None:
        if not connection.is_connected:
            return
        if reset:
            try:
                await connection.rset(timeout=2)
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                connection.close()
                return
        self._idle.append(connection)

    async def _quit(self, connection: aiosmtplib.SMTP) -> None:
        try:
            await connection.quit(timeout=1)
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            connection.close()


def _refusal(connection: aiosmtplib.SMTP, code: int) -> Answer:
    if code == CLOSING:
        connection.close()
        return Answer(Verdict.OUTAGE, code)
    return Answer(Verdict.NEVER if code >= PERMANENT else Verdict.LATER, code)
