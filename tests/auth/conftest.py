"""Fixtures of auth's tests."""

import pytest

from chassis import postgres
from chassis.postgres import Database
from services.auth.settings import AuthSettings
from tests.auth.world import CODE_KEY, ISSUER, PEPPER, SENDER, UNION, World
from tests.conftest import Clone, OpenDatabase


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hundreds at once wait for a connection as long as a busy machine takes: what is asked is who wins."""
    monkeypatch.setattr(postgres, "ACQUIRE_SECONDS", 50.0)


@pytest.fixture
async def auth_database(open_as: OpenDatabase) -> Database:
    return await open_as("auth")


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
