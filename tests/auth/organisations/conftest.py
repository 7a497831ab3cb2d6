"""Fixtures of the tests of organisations."""

import pytest

from tests.auth.organisations.town import Town
from tests.auth.world import World


@pytest.fixture
def town(world: World) -> Town:
    return Town(world)
