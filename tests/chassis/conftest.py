"""What the consumer's tests share."""

import asyncpg
import pytest

from chassis import dead_letters
from tests.support.lanes import CREATE_EFFECTS


@pytest.fixture
async def effects(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Make the table that the handlers of `things` write to."""
    await owner.execute(CREATE_EFFECTS)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0.02)
