"""Standing: where every task of this process waits, for the log line of a process that got stuck."""

import asyncio
from collections.abc import Iterator
from types import FrameType
from typing import Any

DEEPEST = 20


def tasks() -> list[dict[str, Any]]:
    """Give each unfinished task's name and the places it waits at, the outermost first; never a value."""
    return [{"task": task.get_name(), "at": list(_places(task))} for task in asyncio.all_tasks()]


def _places(task: "asyncio.Task[Any]") -> Iterator[str]:
    awaited: Any = task.get_coro()
    for _ in range(DEEPEST):
        frame = _frame(awaited)
        if frame is None:
            return
        yield f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {frame.f_code.co_name}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _frame(awaited: Any) -> FrameType | None:
    """Give the frame of a coroutine or generator; a future has none."""
    frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
    return frame
