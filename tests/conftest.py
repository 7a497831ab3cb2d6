"""Every test runs on real PostgreSQL and, where it needs one, real Kafka: `make test` starts both and says where."""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
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

pytest_plugins = ["tests.plugins.rules", "pytester"]

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

    def keyring(self, service: str) -> Keyring:
        return Keyring.load(service, self.keys / "public", self.keys / "private" / f"{service}.json")

    def identity(self, service: str) -> Identity:
        return Identity(service, self.keyring(service))


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    admin = given("SAMBAND_LOCAL_POSTGRES")
    keys = tmp_path_factory.mktemp("keys")
    keysets.make(keys, SERVICES)
    template = f"template_{secrets.token_hex(4)}"
    urls = await provision(admin, template, SERVICES)
    for service in SERVICES:
        folder = ROOT / "services" / service / "migrations"
        await migrate.apply(urls[service].owner, service, migrate.of_service(service, folder))
    yield Cluster(admin, template, urls, keys)
    await _execute(admin, f"drop database {template} with (force)")


@dataclass(frozen=True, slots=True)
class Clone:
    """One test's own database."""

    name: str
    cluster: Cluster

    def urls(self, service: str) -> Urls:
        return self.cluster.urls[service].of(self.name)


@pytest.fixture
async def clone(cluster: Cluster) -> AsyncIterator[Clone]:
    name = f"clone_{secrets.token_hex(6)}"
    await _execute(cluster.admin, f"create database {name} template {cluster.template}")
    yield Clone(name, cluster)
    await _execute(cluster.admin, f"drop database {name} with (force)")


OpenDatabase = Callable[[str], Awaitable[Database]]


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
