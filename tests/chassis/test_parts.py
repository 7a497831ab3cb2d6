"""The parts of a process stop in time, whatever hangs."""

import asyncio
import time

import pytest

from chassis import parts
from chassis.parts import STOP_SECONDS, Part, Parts


@pytest.mark.goal("rel-R12")
async def test_parts_that_hang_one_after_another_are_cut_off_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "STOP_ALTOGETHER_SECONDS", 0.5)
    cancelled: list[str] = []

    def hanging(group: str) -> Part:
        async def hang() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(group)

        return Part(group, group, hang, lambda: None)

    async with Parts() as running:
        running.start([hanging(group) for group in STOP_SECONDS])
        await asyncio.sleep(0)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert cancelled == list(STOP_SECONDS)


def test_what_stops_in_the_worst_case_stops_within_25_seconds() -> None:
    assert parts.STOP_ALTOGETHER_SECONDS < 25
