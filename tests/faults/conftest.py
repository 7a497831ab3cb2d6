"""The fault suite's stage, once a module: ten processes on servers of their own."""

from collections.abc import AsyncIterator

import pytest

from deploy.local.folders import own_folder
from tests.faults.stage import Stage, single_broker
from tests.faults.stage import stage as play_on


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    with own_folder("test") as folder:
        async with single_broker(folder) as broker, play_on(folder, broker) as found:
            yield found
