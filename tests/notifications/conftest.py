"""Notifications on its own database, with auth as the writer, a courier, and a real mail server that takes orders."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
import structlog
from pydantic import HttpUrl

from chassis.postgres import Database
from services.notifications.courier import Courier
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import Mailer
from tests.conftest import OpenDatabase
from tests.notifications.post import RENDERER, Interrupted, OverheardMailbox, Rows
from tests.notifications.writers import Auth, account

NewCourier = Callable[[Mailer], Courier]


@pytest.fixture
async def notifications(open_as: OpenDatabase) -> Database:
    return await open_as("notifications")


@pytest.fixture
async def auth(open_as: OpenDatabase, notifications: Database) -> Auth:
    return Auth(await open_as("auth"), notifications)


@pytest.fixture
async def kari(auth: Auth) -> UUID:
    """An account whose contact is known."""
    account_id = uuid4()
    await auth.tell(account(account_id))
    return account_id


@pytest.fixture
async def mailbox() -> AsyncIterator[OverheardMailbox]:
    async with OverheardMailbox() as mailbox:
        yield mailbox


@pytest.fixture
def settings(mailbox: OverheardMailbox) -> NotificationsSettings:
    """Mail as production sends it, except for TLS; database and keys come from fixtures of their own."""
    return NotificationsSettings(
        database_url="postgresql://db.example.no/unused",
        public_keys=Path("unused"),
        private_keys=Path("unused"),
        smtp_host=mailbox.smtp_host,
        smtp_port=mailbox.smtp_port,
        smtp_starttls=False,
        smtp_connections=2,
        smtp_answer_seconds=5,
        smtp_accept_seconds=5,
        code_sender="ikkesvar@virke.no",
        organisation="Eksempelforbundet",
        support_email="hjelp@example.no",
        support_phone="00 00 00 00",
        portal_url=HttpUrl("https://portal.example.no/min/"),
        message_id_domain="mail.example.no",
    )


@pytest.fixture
def impatient(settings: NotificationsSettings) -> NotificationsSettings:
    """The same with times so short that a test may let them run out."""
    return settings.model_copy(update={"smtp_answer_seconds": 1.0, "smtp_accept_seconds": 1.0})


@pytest.fixture
async def mailer(settings: NotificationsSettings) -> AsyncIterator[Mailer]:
    mailer = Mailer(settings)
    yield mailer
    await mailer.close()


@pytest.fixture
async def interrupted(settings: NotificationsSettings) -> AsyncIterator[Interrupted]:
    mailer = Interrupted(settings)
    yield mailer
    await mailer.close()


@pytest.fixture
def courier_with(notifications: Database, settings: NotificationsSettings) -> NewCourier:
    return lambda mailer: Courier(notifications, mailer, RENDERER, settings)


@pytest.fixture
def courier(courier_with: NewCourier, mailer: Mailer) -> Courier:
    return courier_with(mailer)


@pytest.fixture
def rows(owner: "asyncpg.Connection[asyncpg.Record]") -> Rows:
    return Rows(owner)


@pytest.fixture
def logged() -> Iterator[list[structlog.typing.EventDict]]:
    """Hear every log line, also of the levels that production leaves out, before anything is masked."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    with structlog.testing.capture_logs() as entries:
        yield entries
    structlog.configure(**before)
