"""The post as a test sees and bends it: the mail server, the rows, and the moment before the text goes."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from chassis.texts import Texts
from deploy.local.mailbox import Mailbox
from deploy.local.mailbox_smtp import Connection, Conversation
from services.notifications.courier import Courier
from services.notifications.rendering import Renderer
from services.notifications.smtp import Answer, Mailer

SERVICE = Path(__file__).parents[2] / "services" / "notifications"
RENDERER = Renderer(SERVICE / "templates", Texts(SERVICE / "locales"))

ASK_EACH_TABLE = """
select tablename, format('select exists (select from notifications.%I t where t::text ilike any($1))', tablename) as sql
from pg_tables where schemaname = 'notifications'"""

Happening = Callable[[], Awaitable[object]]


class _Overheard(Connection):
    """A connection that also keeps the client's own words."""

    def __init__(self, conversation: Conversation, open_ones: set[Connection], heard: bytearray) -> None:
        super().__init__(conversation, open_ones)
        self._heard = heard

    def data_received(self, data: bytes) -> None:
        self._heard += data
        super().data_received(data)


class OverheardMailbox(Mailbox):
    """A mailbox that keeps every byte its clients sent."""

    def __init__(self, *, smtp_port: int = 0) -> None:
        super().__init__(smtp_port=smtp_port)
        self.heard = bytearray()

    def _connect(self) -> Connection:
        return _Overheard(Conversation(self.mails, self.tries, self._reply), self._connections, self.heard)

    def times(self, command: str) -> int:
        """Count a command; EHLO comes once a connection, DATA once a text."""
        return self.heard.upper().count(b"\n" + command.encode()) + self.heard.upper().startswith(command.encode())


class Interrupted(Mailer):
    """A mailer with something happening once the addresses were taken, or once the text was answered."""

    before_text: Happening | None = None
    after_text: Happening | None = None

    async def hand_over(
        self, sender: str, recipient: str, text: bytes, still_wanted: Callable[[], Awaitable[bool]]
    ) -> Answer:
        async def then_asked() -> bool:
            if self.before_text is not None:
                await self.before_text()
            return await still_wanted()

        answer = await super().hand_over(sender, recipient, text, then_asked)
        if self.after_text is not None:
            await self.after_text()
        return answer


class Rows:
    """The rows of notifications, seen and aged from outside."""

    def __init__(self, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._owner = owner

    async def contacts(self) -> list[asyncpg.Record]:
        return await self._owner.fetch("select * from notifications.contacts order by account_id")

    async def mails(self) -> list[asyncpg.Record]:
        return await self._owner.fetch("select * from notifications.mails order by id")

    async def mail(self) -> asyncpg.Record:
        (mail,) = await self.mails()
        return mail

    async def pause(self) -> float:
        """Give the seconds until the only mail is due, as they were set when it was postponed."""
        seconds = "select extract(epoch from due_at - now())::float8 from notifications.mails"
        return float(await self._owner.fetchval(seconds))

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Give what is owed to the bus: type and value, in order."""
        rows = await self._owner.fetch("select type, payload from notifications.outbox order by id")
        return [(row["type"], json.loads(row["payload"])) for row in rows]

    async def make_due(self) -> None:
        await self._owner.execute(
            "update notifications.mails set due_at = now() - interval '1 second' where settled_at is null"
        )

    async def end_leases(self) -> None:
        """Let every claim run out, as after the death of its courier."""
        await self._owner.execute(
            "update notifications.mails set claimed_until = now() - interval '1 second' where claimed_until is not null"
        )

    async def expire(self) -> None:
        await self._owner.execute("update notifications.mails set expires_at = now() - interval '1 second'")

    async def change(self, sql: str) -> None:
        """Run an `update notifications.mails` of the test's own."""
        await self._owner.execute(f"update notifications.mails {sql}")

    async def holding(self, *needles: str) -> list[str]:
        """Name the tables of the schema with a row that shows one of the texts in any column, as text or as bytes."""
        patterns = [f"%{shape}%" for needle in needles for shape in (needle, needle.encode().hex())]
        asked = {row["tablename"]: row["sql"] for row in await self._owner.fetch(ASK_EACH_TABLE)}
        return [table for table, sql in asked.items() if await self._owner.fetchval(sql, patterns)]


async def drain(*couriers: Courier) -> None:
    """Let couriers tick until none of them finds a mail that is due."""
    for courier in couriers:
        while await courier.tick():
            pass
