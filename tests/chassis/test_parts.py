"""The parts of a process stop in time, whatever hangs."""

import asyncio
import time

import pytest

from chassis import parts
from chassis.parts import EX_SOFTWARE, STOP_SECONDS, Part, Parts, Stuck
from chassis.postgres import CLOSE_SECONDS
from tests.chassis.http_app import logged


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


@pytest.mark.goal("rel-R12")
async def test_a_part_that_goes_on_after_it_was_cut_off_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "STOP_ALTOGETHER_SECONDS", 0.1)
    released, order = asyncio.Event(), list[str]()

    async def go_on() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await released.wait()
            order.append("part")

    async def close() -> None:
        order.append("resources")

    deaf = Part("loops", "deaf", go_on, lambda: None)
    async with asyncio.timeout(30):
        async with Parts() as running:
            running.resources.push_async_callback(close)
            running.start([deaf])
            await asyncio.sleep(0)
        released.set()
        assert deaf.task is not None
        await deaf.task
    assert order == ["resources", "part"]


@pytest.mark.goal("rel-R12")
def test_an_ordered_stop_fits_in_before_the_process_leaves_without_and_that_within_25_seconds() -> None:
    ordered = parts.STOP_ALTOGETHER_SECONDS + parts.CUT_OFF_SECONDS * len(STOP_SECONDS) + CLOSE_SECONDS
    assert ordered < parts.LEAVE_SECONDS < 25


@pytest.mark.parametrize(("error", "code"), [(ValueError("x"), 1), (Stuck("x"), EX_SOFTWARE)])
async def test_a_part_that_fails_while_it_stops_is_told_of_and_the_exit_code_says_so(
    error: Exception, code: int
) -> None:
    stop = asyncio.Event()

    async def fail_at_last() -> None:
        await stop.wait()
        raise error

    with logged() as lines:
        async with Parts() as running:
            running.start([Part("relay", "frail", fail_at_last, stop.set)])
            await asyncio.sleep(0)
    told = [(line["part"], line["exc_info"]) for line in lines if line["event"] == "part_ended"]
    assert told == ([("frail", error)] if code == 1 else [])
    assert running.exit_code == code


async def test_a_part_that_ends_by_itself_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "STOP_ALTOGETHER_SECONDS", 0.1)

    async def fail() -> None:
        raise ValueError("x")

    with logged() as lines:
        async with Parts() as running:
            running.start([Part("relay", "frail", fail, lambda: None)])
            await running.stopping.wait()
    assert [line["part"] for line in lines if line["event"] == "part_ended"] == ["frail"]
    assert running.exit_code == 1


async def test_parts_that_stop_as_asked_leave_with_0() -> None:
    stop = asyncio.Event()

    async def wait() -> None:
        await stop.wait()

    async with Parts() as running:
        running.start([Part("relay", "good", wait, stop.set)])
    assert running.exit_code == 0


async def test_what_goes_wrong_while_they_run_leaves_with_1() -> None:
    running = Parts()
    with pytest.raises(ValueError, match="x"):
        async with running:
            raise ValueError("x")
    assert running.exit_code == 1
