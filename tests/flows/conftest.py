"""The platform as processes, once for a module."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import httpx2
import pytest

from deploy.local.folders import own_folder
from deploy.local.journey import Observer, Person, observing
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ROLES, Platform, platform
from deploy.local.stack import Running
from tests.conftest import given

SETTINGS = {"SAMBAND_SMTP_ANSWER_SECONDS": "1", "SAMBAND_SMTP_ACCEPT_SECONDS": "1", "SAMBAND_CODES_PER_QUARTER": "1000"}


@pytest.fixture(scope="module")
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox() as box:
        yield box


@pytest.fixture(scope="module")
async def samband(mailbox: Mailbox) -> AsyncIterator[Platform]:
    """auth api, auth worker and notifications worker, as processes of their own."""
    with own_folder("test") as folder:
        running = Running(folder, given("SAMBAND_LOCAL_POSTGRES"), given("SAMBAND_LOCAL_KAFKA"))
        async with platform(running, smtp_port=mailbox.smtp_port, settings=SETTINGS) as made:
            await asyncio.gather(*(made.start(*role) for role in ROLES))
            yield made


@pytest.fixture
async def owner_of_run(samband: Platform) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection to the run's database."""
    conn = await asyncpg.connect(samband.admin)
    yield conn
    await conn.close()


@pytest.fixture(scope="module")
async def observer(samband: Platform) -> AsyncIterator[Observer]:
    async with observing(samband) as found:
        yield found


MANY = 50


class Crowd:
    """Synthetic people, each with an account of their own."""

    def __init__(self, samband: Platform, stack: AsyncExitStack) -> None:
        self._samband = samband
        self._stack = stack
        self._count = 0
        self._free: list[str] = []

    async def add(self, count: int) -> list[Person]:
        """Give so many that no test has met; accounts are made many at once, for that takes a process each time."""
        while len(self._free) < count:
            addresses = [f"person{self._count + n}@eksempel.example" for n in range(MANY)]
            await self._samband.run("auth", "accounts", "add", *addresses)
            self._count += MANY
            self._free += addresses
        addresses, self._free = self._free[:count], self._free[count:]
        return [await self.browser(address) for address in addresses]

    async def browser(self, address: str) -> Person:
        client = httpx2.AsyncClient(base_url=self._samband.url("auth", "api"), timeout=20)
        return Person(address, await self._stack.enter_async_context(client))


@pytest.fixture(scope="module")
async def crowd(samband: Platform) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        yield Crowd(samband, stack)
