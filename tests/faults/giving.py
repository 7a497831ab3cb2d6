"""Giving: a command is given until somebody answers, or is left unknown, and its outcome noted."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2

from tests.faults.history import Command, History, Outcome
from tests.faults.stage import Stage

AGAIN = 0.75
"""How often a command that nobody knows of is given again; the others stay unknown."""
AGAIN_SECONDS = 30.0

Give = Callable[[], Awaitable[None]]
"""Sends a request and settles its command with the answer; raises `TransportError` where none came."""


@dataclass(slots=True)
class Giver:
    """Gives the commands of one round, and notes them."""

    stage: Stage
    history: History
    chance: random.Random
    client: httpx2.AsyncClient
    """Leads to the API of `auth`, where there is one."""

    async def insist(self, command: Command, give: Give, *, again: bool | None = None) -> None:
        """Give a command that is done once however often it is given; one that stays unknown is mostly given again."""
        again = self.chance.random() < AGAIN if again is None else again
        await self._give(command, give, lambda _: bool(again))

    async def once(self, command: Command, give: Give) -> None:
        """Give a command that would be done twice if it were given twice: again only where nobody listened.

        It goes to a process that says that it is ready, as in a cluster: or most would meet one that has just come back.
        """

        async def when_ready() -> None:
            await self._ready()
            await give()

        await self._give(command, when_ready, lambda error: isinstance(error, httpx2.ConnectError))

    async def _ready(self) -> None:
        """Ask the API whether it is ready; raises `ConnectError` where it is away or not there yet."""
        try:
            ready = (await self.client.get("/readyz")).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            ready = False
        if not ready:
            raise httpx2.ConnectError("nobody listens")

    async def _give(self, command: Command, give: Give, again: Callable[[Exception | None], bool]) -> None:
        until = asyncio.get_running_loop().time() + AGAIN_SECONDS
        while True:
            command.tries += 1
            failure: Exception | None = None
            try:
                await give()
            except httpx2.TransportError as error:
                failure = error
                command.settle(Outcome.UNKNOWN)
            late = asyncio.get_running_loop().time() > until
            if command.outcome is not Outcome.UNKNOWN or late or not again(failure):
                return
            await self.pause(0.1, 0.5)

    async def pause(self, least: float, most: float) -> None:
        """Let some time pass."""
        await asyncio.sleep(self.chance.uniform(least, most))


def outcome_of(answer: httpx2.Response, *, done: int, refused: int = 0) -> Outcome:
    """Read an answer; one that tells of an outage leaves open what was done, for a commit may have been under way."""
    if answer.status_code == done:
        return Outcome.OK
    if answer.status_code in {refused, httpx2.codes.TOO_MANY_REQUESTS}:
        return Outcome.REFUSED
    if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return Outcome.UNKNOWN
    raise AssertionError(f"{answer.request.url.path} answered {answer.status_code}: {answer.text}")
