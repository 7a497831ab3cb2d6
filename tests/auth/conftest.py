"""Fixtures of auth's tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chassis import postgres, scope
from chassis.postgres import Connection, Database
from services.auth.settings import AuthSettings
from tests.auth.town import Town
from tests.auth.world import CODE_KEY, ISSUER, PEPPER, SENDER, UNION, World
from tests.conftest import Clone, OpenDatabase

UNSAID: Any = object()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hundreds at once wait for a connection as long as a busy machine takes: what is asked is who wins."""
    monkeypatch.setattr(postgres, "ACQUIRE_SECONDS", 50.0)


@pytest.fixture
async def auth_database(open_as: OpenDatabase, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give a database whose rows a test sees as the system does, and a request as the chassis lets it."""
    database = await open_as("auth")
    transaction = database.transaction

    @asynccontextmanager
    async def seen() -> AsyncIterator[Connection]:
        entered = scope._current.get(UNSAID)
        with scope.entered(scope.SYSTEM if entered is UNSAID else entered):
            async with transaction() as conn:
                yield conn

    monkeypatch.setattr(database, "transaction", seen)
    return database


@pytest.fixture
def auth_settings(clone: Clone) -> AuthSettings:
    keys = clone.cluster.keys
    return AuthSettings(
        database_url=clone.urls("auth").app,
        public_keys=keys / "public",
        private_keys=keys / "private" / "auth.json",
        token_keys=keys / "tokens" / "public.json",
        token_private_keys=keys / "tokens" / "private.json",
        token_issuer=ISSUER,
        union_name=UNION,
        code_key=CODE_KEY,
        password_pepper=PEPPER,
        mail_sender=SENDER,
    )


@pytest.fixture
def world(auth_database: Database, auth_settings: AuthSettings, clone: Clone) -> World:
    return World(auth_database, auth_settings, clone.cluster.keyring("notifications"))


@pytest.fixture
def town(world: World) -> Town:
    return Town(world)
