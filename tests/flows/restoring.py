"""Restoring: a day on which Postgres is lost under load and comes back as it was at its last backup."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2

from chassis.postgres import Identity, open_database
from chassis.sealing import Keyring
from contracts import topics
from deploy.local import postgres
from deploy.local.journey import Person, code_in
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ROLES, SERVICES, Platform, platform
from deploy.local.stack import Running
from tests.flows.load import Load
from tests.support import bus
from tests.support.waiting import until

BEFORE, BETWEEN, AFTER = 60, 60, 240
"""Commits before the backup, while it runs at least, and in the time that is lost: it stands for the ten minutes."""


@dataclass(slots=True)
class Day:
    """What happened, to be compared."""

    platform: Platform
    mailbox: Mailbox
    keyring: Keyring
    surely_kept: set[UUID] = field(default_factory=set)
    """Messages of transactions that ended before the backup began."""
    surely_lost: set[UUID] = field(default_factory=set)
    """Messages of transactions that began after the backup had ended."""
    accounts_before: int = 0
    people: dict[str, Person] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    """The answers to asks with an Idempotency-Key: the one of `early` is in the backup, that of `other` is lost."""
    said: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The lines of each command."""
    records: list[Any] = field(default_factory=list)
    """All of the accounts' topic at the end of the day."""
    highest_sequence: int = 0
    """The highest number that any record had when the database was lost."""

    @asynccontextmanager
    async def look(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Open a superuser's connection."""
        conn = await asyncpg.connect(self.platform.admin)
        try:
            yield conn
        finally:
            await conn.close()

    async def command(self, service: str, *arguments: str) -> list[dict[str, Any]]:
        """Run an operator's command and keep its lines."""
        said = await self.platform.run(service, *arguments)
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return self.said.setdefault(f"{service} {' '.join(arguments[:2])}", lines)

    async def read(self, *names: str) -> list[Any]:
        """Read topics from end to end."""
        prefixed = [self.platform.topic_prefix + name for name in names]
        async with bus.reading(self.platform.running.kafka, *prefixed) as consumer:
            return await bus.take_to_the_end(consumer)


@asynccontextmanager
async def restored_day(folder: Path, kafka: str) -> AsyncIterator[Day]:
    """Play the day to its end: load, backup, more load, loss, restore, and the commands of docs/operations.md."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(postgres.Server(folder / "postgres"))
        mailbox = await stack.enter_async_context(Mailbox())
        made = await stack.enter_async_context(
            platform(Running(folder, server.url, kafka), smtp_port=mailbox.smtp_port, settings=SETTINGS)
        )
        environment = made.environments["notifications"]
        keys = Path(environment["SAMBAND_PUBLIC_KEYS"])
        reader = Keyring.load("notifications", keys, Path(environment["SAMBAND_PRIVATE_KEYS"]))
        day = Day(made, mailbox, reader)
        await asyncio.gather(*(made.start(*role) for role in ROLES))
        for name in ("early", "late", "other"):
            client = httpx2.AsyncClient(base_url=made.url("auth", "api"), timeout=20)
            person = Person(f"{name}@eksempel.example", await stack.enter_async_context(client))
            day.people[name] = person
        await made.run("auth", "accounts", "add", *(person.address for person in day.people.values()))
        backed_up_at = await _until_the_loss(day, server, folder / "backup")
        await server.restore(folder / "backup")
        await _heal(day, backed_up_at)
        yield day


SETTINGS = {"SAMBAND_SMTP_ANSWER_SECONDS": "3", "SAMBAND_CODES_PER_QUARTER": "100"}


async def _until_the_loss(day: Day, server: postgres.Server, backup: Path) -> datetime:
    """Work, back up meanwhile, work on, and end everything as a power cut would; gives when the backup began."""
    environment = day.platform.environments["auth"]
    keyring = Keyring.load("auth", Path(environment["SAMBAND_PUBLIC_KEYS"]), Path(environment["SAMBAND_PRIVATE_KEYS"]))
    await _log_in(day, "early")
    day.asked["early"] = (await day.people["early"].ask(key="kept")).json()
    url = environment["SAMBAND_DATABASE_URL"]
    async with open_database(url, Identity("auth", keyring), size=2, role="load") as database:
        load = Load(database, random.Random(11))
        writing = asyncio.create_task(load.run())
        await load.until(BEFORE)
        day.surely_kept = set(load.committed)
        backed_up_at = datetime.now(UTC)
        copying = asyncio.create_task(server.back_up(backup))
        await load.until(BETWEEN)
        await copying
        await load.until(1)  # One may have been under way.
        lost_from = len(load.committed)
        await load.until(AFTER)
        await _log_in(day, "late")
        await day.people["other"].show_codes()
        day.asked["other"] = (await day.people["other"].ask(key="lost")).json()
        await _told_of_mails(day, len(day.mailbox.mails.listed()))
        async with day.look() as conn:
            day.accounts_before = await conn.fetchval("select count(*) from auth.accounts")
        server.process.kill()
        await server.process.wait()
        await writing
        day.surely_lost = set(load.committed[lost_from:])
    await asyncio.gather(*(day.platform.kill(*role) for role in ROLES))
    names = [topic.name for topic in topics.ALL if topic.owner == "auth" and not topic.takes_requests]
    day.highest_sequence = max(int(dict(record.headers)["ce_sequence"]) for record in await day.read(*names))
    return backed_up_at


async def _heal(day: Day, backed_up_at: datetime) -> None:
    """Do what docs/operations.md says."""
    since = backed_up_at.isoformat()

    async def count_on(service: str) -> None:
        await day.command(service, "restored")
        await day.command(service, "outbox", "ghosts", "--since", since, "--settle")

    await asyncio.gather(*(count_on(service) for service in SERVICES))
    await asyncio.gather(*(day.platform.start(*role) for role in ROLES))
    await day.command("auth", "republish", "--batch", "50")
    await until(lambda: _is_quiet(day), what="all to be sent and read", seconds=60)
    day.records = await day.read(topics.ACCOUNTS.name)
    await asyncio.gather(*(day.command(service, "doctor") for service in SERVICES))


async def _log_in(day: Day, name: str) -> None:
    person = day.people[name]
    await person.ask()
    mails = await day.mailbox.wait_for(1, to=person.address, within=40)
    assert (await person.redeem(code_in(mails[0]))).status_code == httpx2.codes.CREATED


async def _told_of_mails(day: Day, count: int) -> None:
    async def told() -> bool:
        async with day.look() as conn:
            sent = await conn.fetchval("select count(*) from notifications.outbox_published")
        return int(sent) >= count

    await until(told, what=f"{count} mails to be told of")


READ = """
select coalesce(sum(next_offset), 0)::bigint from notifications.consumer_positions
where topic = any('{auth.accounts.v1,auth.codes.v1}')"""


async def _is_quiet(day: Day) -> bool:
    async with day.look() as conn:
        owed = await conn.fetchval(
            "select (select count(*) from auth.outbox) + (select count(*) from notifications.outbox)"
        )
        read = await conn.fetchval(READ)
    written = len(await day.read(topics.ACCOUNTS.name, topics.CODES.name))
    return bool(owed == 0 and read == written)
