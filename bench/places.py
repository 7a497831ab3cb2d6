"""Places: where events arrive, and what the controller may ask about it."""

import asyncio
import time
from pathlib import Path

from bench.remote import Command
from bench.samples import Samples


class Place:
    """Notes the moment at which each event arrived."""

    def __init__(self) -> None:
        self.samples = Samples()

    def commands(self) -> dict[str, Command]:
        return {"clear": self.clear, "count": self.count, "until": self.until, "save": self.save}

    async def clear(self) -> None:
        self.samples.clear()

    async def count(self) -> int:
        return len(self.samples)

    async def until(self, count: int) -> int:
        """Wait until so many have arrived since `clear`; gives the moment."""
        while len(self.samples) < count:  # noqa: ASYNC110 -- a signal for each event would cost what is measured.
            await asyncio.sleep(0.002)
        return time.monotonic_ns()

    async def save(self, path: str) -> None:
        self.samples.save(Path(path))
