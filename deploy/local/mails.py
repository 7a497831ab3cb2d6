"""Mails that were caught: kept in memory, newest first, the oldest forgotten when there are too many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as the server took it; `sender` and `to` are the envelope's, the rest is the message's own."""

    number: int
    message_id: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]
    received_at: datetime
    size: int

    def is_to(self, address: str | None) -> bool:
        return address is None or address.casefold() in (each.casefold() for each in self.to)


class Mails:
    """Numbered from 1 in order of arrival; whoever waits for a mail wakes when it comes."""

    def __init__(self, *, keep: int = 1000) -> None:
        self._kept: deque[Mail] = deque(maxlen=keep)
        self._last = 0
        self._changed = asyncio.Condition()

    def find(self, number: int) -> Mail | None:
        return next((mail for mail in self._kept if mail.number == number), None)

    def listed(self, *, to: str | None = None, after: int = 0) -> list[Mail]:
        """Newest first: those to one recipient, those with a number above `after`."""
        return [mail for mail in self._kept if mail.number > after and mail.is_to(to)]

    async def add(self, sender: str, to: Sequence[str], raw: bytes) -> None:
        async with self._changed:
            self._last += 1
            self._kept.appendleft(_read(self._last, sender, tuple(to), raw))
            self._changed.notify_all()

    async def wait_for(self, count: int, *, to: str | None = None, within: float = 10.0) -> list[Mail]:
        """Wait until at least `count` are there, and list all that are; the `TimeoutError` says how many came."""
        async with self._changed:
            try:
                async with asyncio.timeout(within):
                    await self._changed.wait_for(lambda: len(self.listed(to=to)) >= count)
            except TimeoutError:
                came = f"{len(self.listed(to=to))} of {count} mails to {to or 'anybody'}"
                raise TimeoutError(f"{came} came within {within:g} s") from None
        return self.listed(to=to)

    def clear(self) -> None:
        """Forget all mails; numbers go on from where they were."""
        self._kept.clear()


def _read(number: int, sender: str, to: tuple[str, ...], raw: bytes) -> Mail:
    message = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    headers = tuple((name, str(value)) for name, value in message.items())
    named = {name.lower(): value for name, value in headers}
    return Mail(
        number=number,
        message_id=named.get("message-id", ""),
        sender=sender,
        to=to,
        subject=named.get("subject", ""),
        text=_part(message, "plain"),
        html=_part(message, "html"),
        headers=headers,
        received_at=datetime.now(UTC),
        size=len(raw),
    )


def _part(message: EmailMessage, kind: str) -> str:
    """The body of one kind, or nothing; bytes that its charset does not know are replaced."""
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:
        return payload.decode("utf-8", errors="replace")
