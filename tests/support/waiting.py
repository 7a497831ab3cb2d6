"""Waiting for the thing itself, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class InVain(AssertionError):
    """What was waited for did not come. Why it did not is not known: it may be lost, or the program merely broken."""


async def until(found: Callable[[], Awaitable[T | None]], *, what: str, seconds: float = 20) -> T:
    """Ask until the answer is neither None nor False; `InVain` says what was waited for."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = await found()
                if answer is not None and answer is not False:
                    return answer
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise InVain(f"waited {seconds:g} s in vain for {what}") from None
