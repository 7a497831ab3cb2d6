"""Fixtures of links."""

from pathlib import Path

import pytest

from tests.auth.identity_providers.provider import Place
from tests.auth.world import World


@pytest.fixture
def place(world: World, tmp_path: Path) -> Place:
    return Place.make(world, tmp_path / "providers")
