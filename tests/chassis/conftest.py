"""What the tests of the consumer, of requests and of uploads share."""

import asyncpg
import pytest

from chassis import dead_letters
from chassis.postgres import Database
from chassis.sealing import Keyring
from tests.conftest import Clone
from tests.support.asking import DESK_KEY, KEY, Asker, listening, system
from tests.support.lanes import CREATE_EFFECTS


@pytest.fixture
async def effects(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Make the table that the handlers of `things` write to."""
    await owner.execute(CREATE_EFFECTS)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def known(database: Database) -> Database:
    """The database of a service that listens to the systems `member` and `desk`."""
    return listening(database, system("member", KEY), system("desk", DESK_KEY))


@pytest.fixture
def asker(clone: Clone) -> Asker:
    """The system `member`."""
    return Asker("member", KEY, Keyring("member", clone.cluster.keyring("things")._public, None))
