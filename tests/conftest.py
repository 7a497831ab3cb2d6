"""Every test runs on real PostgreSQL and, where it needs one, real Kafka: `make test` starts both and says where."""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from chassis import logging, migrate
from chassis.postgres import Database, Identity, open_database
from chassis.sealing import Keyring
from contracts import topics
from deploy.local import keysets
from deploy.local import topics as kafka_topics
from deploy.local.provision import Urls, provision

pytest_plugins = ["tests.plugins.rules", "tests.plugins.longest_first", "pytester"]

ROOT = Path(__file__).parents[1]
SERVICES = ("auth", "notifications", "things")
"""`things` is no service: a schema with the chassis' tables alone, for the chassis' own tests."""


def given(name: str) -> str:
    """Give an address that `make test` has set."""
    address = os.environ.get(name)
    if not address:
        pytest.exit(f"{name} is not set: run `make test`, which starts PostgreSQL and Kafka", returncode=2)
    return address


@pytest.fixture(scope="session", autouse=True)
def log_as_in_production() -> None:
    logging.configure("tests", "test", "WARNING")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A migrated template database, cloned for each test."""

    admin: str
    template: str
    urls: dict[str, Urls]
    keys: Path
    _shape: list[int] = field(default_factory=list)

    def keyring(self, service: str) -> Keyring:
        return Keyring.load(service, self.keys / "public", self.keys / "private" / f"{service}.json")

    def identity(self, service: str) -> Identity:
        return Identity(service, self.keyring(service))

    async def shape(self) -> int:
        """Count the tables, indexes and sequences that the migrations made."""
        if not self._shape:
            conn = await asyncpg.connect(f"{self.admin.rpartition('/')[0]}/{self.template}")
            try:
                self._shape.append(await conn.fetchval(SHAPE))
            finally:
                await conn.close()
        return self._shape[0]


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    admin = given("SAMBAND_LOCAL_POSTGRES")
    keys = tmp_path_factory.mktemp("keys")
    keysets.make(keys, SERVICES)
    keysets.make_tokens(keys)
    template = f"template_{secrets.token_hex(4)}"
    urls = await provision(admin, template, SERVICES)
    for service in SERVICES:
        folder = ROOT / "services" / service / "migrations"
        await migrate.apply(urls[service].owner, service, migrate.of_service(service, folder))
        await _execute(urls[service].app, "select outbox_turn_over(7)")  # As the first relay would.
    yield Cluster(admin, template, urls, keys)
    await _execute(admin, f"drop database {template} with (force)")


@dataclass(frozen=True, slots=True)
class Clone:
    """One test's own database."""

    name: str
    cluster: Cluster

    def urls(self, service: str) -> Urls:
        return self.cluster.urls[service].of(self.name)


@pytest.fixture(scope="session")
async def clones(cluster: Cluster) -> AsyncIterator[list[str]]:
    """Clean clones that wait for their next test: emptying one takes a tenth of making one."""
    spare: list[str] = []
    yield spare
    for name in spare:
        await _execute(cluster.admin, f"drop database {name} with (force)")


@pytest.fixture
async def clone(cluster: Cluster, clones: list[str]) -> AsyncIterator[Clone]:
    """Give a database as the migrations left it, to this test alone."""
    if not clones:
        name = f"clone_{secrets.token_hex(6)}"
        await _execute(cluster.admin, f"create database {name} template {cluster.template}")
        clones.append(name)
    name = clones.pop()
    yield Clone(name, cluster)
    if await _is_clean_again(cluster, name):
        clones.append(name)
    else:
        await _execute(cluster.admin, f"drop database {name} with (force)")


LEAVE = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"""

# A test that changed the schema, or left a lock behind, gives its database up.
EMPTY = """
do $$ declare found record; filled boolean; begin
    set local lock_timeout = '2s';
    for found in
        select format('%I.%I', schemaname, tablename) as name from pg_tables
        where schemaname = any('{auth,notifications,things}') and tablename <> 'schema_migrations'
    loop
        execute format('select exists (select from %s)', found.name) into filled;
        if filled then
            execute format('truncate %s restart identity cascade', found.name);
        end if;
    end loop;
end $$"""

SHAPE = """
select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any('{auth,notifications,things}')"""


async def _is_clean_again(cluster: Cluster, name: str) -> bool:
    conn = await asyncpg.connect(f"{cluster.admin.rpartition('/')[0]}/{name}")
    try:
        await conn.execute(LEAVE)
        if await conn.fetchval(SHAPE) != await cluster.shape():
            return False
        await conn.execute(EMPTY)
    except asyncpg.PostgresError:
        return False
    finally:
        await conn.close()
    return True


OpenDatabase = Callable[..., Awaitable[Database]]
"""Takes the service and, if it matters, the size of the pool."""


@pytest.fixture
async def open_as(clone: Clone) -> AsyncIterator[OpenDatabase]:
    """Open databases as a service's login role; closed at the end of the test."""
    async with AsyncExitStack() as stack:

        async def open_one(service: str, size: int = 10) -> Database:
            urls, identity = clone.urls(service), clone.cluster.identity(service)
            return await stack.enter_async_context(open_database(urls.app, identity, size=size))

        yield open_one


@pytest.fixture
async def database(open_as: OpenDatabase) -> Database:
    return await open_as("things")


@pytest.fixture
async def owner(clone: Clone) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection, to look at and age what services wrote."""
    url = clone.urls("auth").app
    conn = await asyncpg.connect(clone.cluster.admin.rpartition("/")[0] + "/" + url.rpartition("/")[2])
    yield conn
    await conn.close()


@dataclass(frozen=True, slots=True)
class Bus:
    """The shared broker, with this test's own topics."""

    bootstrap: str
    prefix: str


@pytest.fixture
async def bus() -> Bus:
    """Give every declared topic under a prefix of this test."""
    bootstrap, prefix = given("SAMBAND_LOCAL_KAFKA"), f"t{secrets.token_hex(4)}."
    await kafka_topics.create_topics(
        bootstrap, [kafka_topics.Topic(prefix + topic.name, 3, topic.config()) for topic in topics.ALL]
    )
    return Bus(bootstrap, prefix)


async def _execute(url: str, sql: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        await conn.execute(sql)
    finally:
        await conn.close()
