"""Waiting for the thing itself, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(found: Callable[[], Awaitable[T | None]], *, what: str, seconds: float = 20) -> T:
    """Ask until the answer is neither None nor False; an AssertionError says what was waited for in vain."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = await found()
                if answer is not None and answer is not False:
                    return answer
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s in vain for {what}") from None
