"""The loop: at once while there is work, woken early, undeterred by errors, stopped between two ticks."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from chassis import loop
from chassis.loop import Loop, backoff

NEVER = 3600.0


class Ticks:
    """A tick that plays a script: a count to return or an error to raise; afterwards there is nothing to do."""

    def __init__(self, *script: int | Exception) -> None:
        self._script = list(script)
        self.count = 0
        self._counted = asyncio.Condition()

    async def __call__(self) -> int:
        async with self._counted:
            self.count += 1
            self._counted.notify_all()
        outcome = self._script.pop(0) if self._script else 0
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10), self._counted:
            await self._counted.wait_for(lambda: self.count >= count)


async def end(running: Loop, task: "asyncio.Task[None]") -> None:
    running.stop()
    async with asyncio.timeout(10):
        await task


async def turns() -> None:
    """Let every task that can go on do so, until it waits for a time or for somebody else."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_ticks_again_at_once_while_there_is_work_and_then_rests() -> None:
    ticks = Ticks(5, 1, 1)
    running = Loop("test", ticks, every=NEVER)
    task = asyncio.create_task(running.run())
    await ticks.reach(4)
    await turns()
    assert ticks.count == 4
    await end(running, task)


async def test_it_looks_again_by_itself_when_nobody_wakes_it() -> None:
    ticks = Ticks()
    running = Loop("test", ticks, every=0.001)
    task = asyncio.create_task(running.run())
    await ticks.reach(3)
    await end(running, task)


async def test_it_is_woken_early() -> None:
    ticks = Ticks()
    running = Loop("test", ticks, every=NEVER)
    task = asyncio.create_task(running.run())
    for count in (1, 2, 3):
        await ticks.reach(count)
        await turns()
        assert ticks.count == count
        running.wake()
    await ticks.reach(4)
    await end(running, task)


async def test_a_call_that_comes_during_a_tick_is_not_lost() -> None:
    begun, go_on, count = asyncio.Event(), asyncio.Event(), 0

    async def tick() -> int:
        nonlocal count
        count += 1
        begun.set()
        await go_on.wait()
        return 0

    running = Loop("test", tick, every=NEVER)
    task = asyncio.create_task(running.run())
    await begun.wait()
    running.wake()
    begun.clear()
    go_on.set()
    async with asyncio.timeout(10):
        await begun.wait()
    assert count == 2
    await end(running, task)


async def test_an_error_is_counted_waited_out_longer_each_time_and_forgotten_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def no_pause(failures: int) -> float:
        asked.append(failures)
        return 0.0

    monkeypatch.setattr(loop, "backoff", no_pause)
    before = REGISTRY.get_sample_value("samband_loop_failures_total", {"loop": "errors"}) or 0
    ticks = Ticks(ZeroDivisionError(), ConnectionResetError(), 1, KeyError())
    running = Loop("errors", ticks, every=NEVER)
    task = asyncio.create_task(running.run())
    await ticks.reach(5)
    assert asked == [1, 2, 1]
    assert REGISTRY.get_sample_value("samband_loop_failures_total", {"loop": "errors"}) == before + 3
    await end(running, task)


async def test_it_ends_after_the_tick_under_way_and_begins_no_other() -> None:
    begun, go_on, finished = asyncio.Event(), asyncio.Event(), 0

    async def tick() -> int:
        nonlocal finished
        begun.set()
        await go_on.wait()
        finished += 1
        return 1

    running = Loop("test", tick, every=NEVER)
    task = asyncio.create_task(running.run())
    await begun.wait()
    running.stop()
    await turns()
    assert not task.done()
    go_on.set()
    async with asyncio.timeout(10):
        await task
    assert finished == 1


@pytest.mark.parametrize("script", [(), (ValueError(),)], ids=["resting", "backing off"])
async def test_it_ends_at_once_while_it_waits(script: tuple[Exception, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "backoff", lambda _failures: NEVER)
    ticks = Ticks(*script)
    running = Loop("test", ticks, every=NEVER)
    task = asyncio.create_task(running.run())
    await ticks.reach(1)
    await turns()
    await end(running, task)
    assert ticks.count == 1


async def test_one_that_was_stopped_before_it_began_does_nothing() -> None:
    ticks = Ticks(1)
    running = Loop("test", ticks, every=NEVER)
    running.stop()
    await running.run()
    assert ticks.count == 0


async def test_it_can_be_cancelled_in_the_middle_of_a_tick() -> None:
    begun = asyncio.Event()

    async def tick() -> int:
        begun.set()
        await asyncio.Event().wait()
        return 0

    task = asyncio.create_task(Loop("test", tick, every=NEVER).run())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@given(st.integers(1, 10**6), st.floats(0.001, 10), st.floats(0.01, 1000))
def test_the_pause_doubles_with_jitter_and_has_an_end(failures: int, first: float, longest: float) -> None:
    whole = min(longest, first * 2.0 ** min(failures - 1, 16))
    assert whole * 0.5 <= backoff(failures, first=first, longest=longest) <= whole


def test_pauses_differ_so_that_processes_do_not_come_back_together() -> None:
    assert len({backoff(5) for _ in range(50)}) > 1
