"""Ground: a database, a topic and keys made for one part of the measuring, and the roles that run on them."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg

from bench import events, remote
from bench.events import EVENTS, SERVICE
from bench.remote import Remote
from bench.servers import Servers
from chassis import migrate
from chassis.postgres import Database, Identity, open_database
from chassis.sealing import Keyring
from deploy.local import keysets
from deploy.local.provision import Urls, provision
from deploy.local.topics import Topic, create_topics

EMPTY = """
truncate bench.events, bench.effects, bench.outbox, bench.outbox_published, bench.inbox, bench.consumer_positions,
    bench.consumer_trials"""
SETTLE = "checkpoint"


@dataclass(frozen=True, slots=True)
class Ground:
    servers: Servers
    urls: Urls
    admin: str
    """A superuser's way into the same database."""
    prefix: str
    keys: Path

    def role(self, name: str, **orders: Any) -> AbstractAsyncContextManager[Remote]:
        """Run `bench.<name>` for the block."""
        common = {
            "url": self.urls.app,
            "kafka": self.servers.running.kafka,
            "prefix": self.prefix,
            "keys": str(self.keys),
        }
        return remote.role(name, self.servers.running.folder, {**common, **orders})

    async def renewed(self) -> "Ground":
        """Forget all events, write out what is dirty and take a new topic, so that everything begins alike."""
        conn = await asyncpg.connect(self.admin)
        try:
            await conn.execute(EMPTY)
            await conn.execute(SETTLE)
        finally:
            await conn.close()
        return replace(self, prefix=await _make_topic(self.servers))

    async def owe(self, count: int) -> None:
        """Put so many events into the outbox at once."""
        async with self._database() as database, database.transaction() as conn:
            await conn.execute("set local statement_timeout = '120s'")
            await events.owe(conn, count)

    @asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Hold a transaction open that has written, for the block."""
        async with self._database() as database, database.transaction() as conn:
            await conn.execute("set local idle_in_transaction_session_timeout = 0")
            await events.owe(conn, 1)
            yield

    def _database(self) -> AbstractAsyncContextManager[Database]:
        return open_database(self.urls.app, identity({"keys": str(self.keys)}), size=2)


@asynccontextmanager
async def ground(servers: Servers) -> AsyncIterator[Ground]:
    """Make all of it; the database goes with its servers."""
    name = f"bench_{secrets.token_hex(4)}"
    urls = (await provision(servers.running.postgres, name, [SERVICE]))[SERVICE]
    keys = servers.running.folder / f"keys-{name}"
    keysets.make(keys, [SERVICE])
    await migrate.apply(urls.owner, SERVICE, events.migrations())
    await _make_archive(urls.app)
    admin = f"{servers.running.postgres.rpartition('/')[0]}/{name}"
    yield Ground(servers, urls, admin, await _make_topic(servers), keys)


async def _make_topic(servers: Servers) -> str:
    """Make the topic under a new prefix, and give that."""
    prefix = f"bench-{secrets.token_hex(4)}."
    await create_topics(servers.running.kafka, [Topic(prefix + EVENTS.name, EVENTS.partitions, EVENTS.config())])
    return prefix


async def _make_archive(url: str) -> None:
    """Make the archive's days, as the first relay would."""
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("select outbox_turn_over(7)")
    finally:
        await conn.close()


def identity(orders: Mapping[str, Any]) -> Identity:
    """Give the identity that a role's orders describe."""
    keys = Path(orders["keys"])
    return Identity(SERVICE, Keyring.load(SERVICE, keys / "public", keys / "private" / f"{SERVICE}.json"))
