"""The mailbox's SMTP side: one conversation with each client, as the script wants it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.mails import Mails
from deploy.local.replies import Reply, Script


class Tries:
    """How often each recipient was tried, refused or not; a test waits for the try that it provoked."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    def of(self, recipient: str) -> int:
        return self._counts[recipient.casefold()]

    async def note(self, recipient: str) -> None:
        async with self._changed:
            self._counts[recipient.casefold()] += 1
            self._changed.notify_all()

    async def wait_for(self, count: int, *, to: str, within: float = 10.0) -> None:
        """Wait for the `count`-th RCPT of this recipient; raise `TimeoutError`."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: self.of(to) >= count)


class Connection(SMTP):
    """One client's connection; it adds itself to those that are open and takes itself out."""

    def __init__(self, conversation: Conversation, open_ones: set[Connection]) -> None:
        super().__init__(conversation, enable_SMTPUTF8=True, hostname="mailbox", ident="Samband", timeout=600)
        self._open_ones = open_ones
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_ones.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self)
        self._ended.set()
        super().connection_lost(error)

    def abort(self) -> None:
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    async def ended(self) -> None:
        await self._ended.wait()

    def close_after_answer(self) -> None:
        # The answer is written before the loop comes to this; closing sends what is written first.
        if self.transport is not None:
            asyncio.get_running_loop().call_soon(self.transport.close)


class Conversation:
    """What the server decides; the names of the methods are aiosmtpd's hooks."""

    def __init__(self, mails: Mails, tries: Tries, script: Script) -> None:
        self._mails = mails
        self._tries = tries
        self._script = script
        self._at_the_dot: Reply | None = None

    async def handle_RCPT(  # noqa: N802
        self, server: Connection, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not envelope.rcpt_tos:
            self._at_the_dot = None
        reply = self._script(address)
        await self._tries.note(address)
        if reply is not None and reply.at == "rcpt":
            return await self._misbehave(server, envelope, reply)
        self._at_the_dot = self._at_the_dot or reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Connection, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._at_the_dot is not None:
            return await self._misbehave(server, envelope, self._at_the_dot)
        await self._keep(envelope)
        return "250 OK"

    async def _misbehave(self, server: Connection, envelope: Envelope, reply: Reply) -> str:
        match reply.does:
            case "answer":
                if reply.line.startswith("421"):
                    server.close_after_answer()
                return reply.line
            case "hang":
                pass
            case "drop":
                if reply.keeps:
                    await self._keep(envelope)
                server.abort()
        ends_with_the_connection: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await ends_with_the_connection

    async def _keep(self, envelope: Envelope) -> None:
        await self._mails.add(envelope.mail_from or "", envelope.rcpt_tos, envelope.original_content or b"")
