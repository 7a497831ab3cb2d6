"""Ports: free, and given to nobody else meanwhile."""

import random
import subprocess
import sys

import pytest

from deploy.local import ports
from deploy.local.errors import SetupError
from deploy.local.folders import CHECKOUT

LOCK = "import sys; from deploy.local import ports; print(ports._lock(int(sys.argv[1])))"


class FirstAlways(random.Random):
    """Draws the ports in their order."""

    def sample(self, population: range, k: int, **_: object) -> list[int]:  # type: ignore[override]
        return list(population)[:k]


@pytest.fixture(autouse=True)
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "SystemRandom", FirstAlways)


def test_a_port_is_given_once_although_nothing_listens_on_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports.free_port()
    monkeypatch.setattr(ports, "_RANGE", range(first, first + 1))
    with pytest.raises(SetupError):
        ports.free_port()


def test_a_port_is_not_given_by_another_process_either() -> None:
    port = ports.free_port()
    command = [sys.executable, "-c", LOCK, str(port)]
    found = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
