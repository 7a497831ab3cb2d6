"""Samples: at which moment each event reached a place, and what the differences say.

Moments are `time.monotonic_ns()`: Linux keeps one such clock for all processes of a machine.
"""

import math
import struct
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

ROW = struct.Struct("=16sq")


class Samples:
    """Moments by event id, kept small: 24 bytes an event."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._moments = array("q")

    def add(self, event: bytes, moment: int) -> None:
        """Note a moment of an event, named by the 16 bytes of its id."""
        self._ids += event
        self._moments.append(moment)

    def clear(self) -> None:
        self._ids.clear()
        del self._moments[:]

    def __len__(self) -> int:
        return len(self._moments)

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            for n, moment in enumerate(self._moments):
                file.write(ROW.pack(bytes(self._ids[16 * n : 16 * n + 16]), moment))


def load(path: Path) -> dict[bytes, int]:
    """Read what `save` wrote; of an event that came several times the first moment counts."""
    moments: dict[bytes, int] = {}
    for event, moment in ROW.iter_unpack(path.read_bytes()):
        moments.setdefault(event, moment)
    return moments


class Missing(Exception):
    """Some events never reached the other place."""


def delays(begun: Mapping[bytes, int], ended: Mapping[bytes, int]) -> list[float]:
    """Give the milliseconds between two places for every event of the first, sorted; raises `Missing`."""
    lost = sum(event not in ended for event in begun)
    if lost:
        raise Missing(f"{lost} of {len(begun)} events did not arrive")
    return sorted((ended[event] - moment) / 1e6 for event, moment in begun.items())


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Give the smallest value that at least so many percent of the values do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
