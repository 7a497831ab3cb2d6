"""Acts: what takes somebody several commands: activating an account, guessing at a password, leaving, editing users."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx2

from deploy.local.journey import code_in
from tests.faults.cast import PASSWORD, Cast
from tests.faults.editing import Editing
from tests.faults.giving import Giver, outcome_of
from tests.faults.history import Command, Kind, Outcome
from tests.faults.visitor import Visitor

MAIL_SECONDS = 40
FEW, MANY = 3, 8
"""Wrong passwords in a row: less than those that block, and more."""
BROWSERS = 3
SPREAD = 0.8
"""In which part of the time acts begin."""

Sends = Callable[[], Awaitable[httpx2.Response]]


class Acts:
    """One round's acts; what each of them did is noted as commands."""

    def __init__(self, giver: Giver, cast: Cast) -> None:
        self._giver = giver
        self._cast = cast
        self._history = giver.history

    def all(self, *, seconds: float) -> Iterator[Coroutine[Any, Any, None]]:
        """Give every act of the cast, each to be run by itself; each begins at some time within so many seconds."""
        cast = self._cast
        acts = [self._activate(person) for person in cast.activators]
        acts += [self._guess(address, MANY if n % 2 else FEW) for n, address in enumerate(cast.guessed_at)]
        acts += [self._leave(address) for address in cast.leavers]
        if cast.superuser is not None:
            editing = Editing(self._giver, cast.superuser, seconds=seconds)
            acts += [work for user_id in cast.users for work in editing.works(user_id)]
        return (self._later(act, seconds * SPREAD) for act in acts)

    async def _later(self, act: Coroutine[Any, Any, None], within: float) -> None:
        await self._giver.pause(0, within)
        await act

    async def _activate(self, person: Visitor) -> None:
        """Ask for a code, use it twice at the same time for two passwords, and see which of them is the person's."""
        asked = await self._ask_to_activate(person)
        if asked.outcome is not Outcome.OK:
            return
        try:
            mails = await self._giver.stage.post.wait_for(1, to=person.address, within=MAIL_SECONDS)
        except TimeoutError:
            return
        code, passwords = code_in(mails[-1]), [f"{PASSWORD} {uuid4().hex[:8]}" for _ in range(2)]
        commands = [self._history.begin(Kind.ACTIVATION, person.address, asked.subject) for _ in passwords]
        async with asyncio.TaskGroup() as group:
            for command, password in zip(commands, passwords, strict=True):
                group.create_task(
                    self._once(command, lambda chosen=password: person.activate(str(asked.subject), code, chosen))  # type: ignore[misc]
                )
        done = [command.outcome is Outcome.OK for command in commands]
        if sum(done) == 1:
            await self._try(Kind.GUESS, person.address, passwords[done.index(False)])
            await self._try(Kind.LOG_IN, person.address, passwords[done.index(True)])

    async def _ask_to_activate(self, person: Visitor) -> Command:
        command, key = self._history.begin(Kind.CODE, person.address), str(uuid4())

        async def ask() -> None:
            answer = await person.ask_to_activate(key=key)
            outcome = outcome_of(answer, done=202)
            command.settle(outcome, UUID(answer.json()["challenge_id"]) if outcome is Outcome.OK else None)

        await self._giver.insist(command, ask)
        return command

    async def _guess(self, address: str, times: int) -> None:
        """Try so many wrong passwords at the same time, each in a browser of its own, and then the right one."""
        async with asyncio.TaskGroup() as group:
            for n in range(times):
                group.create_task(self._try(Kind.GUESS, address, f"{PASSWORD}, nummer {n}"))
        await self._try(Kind.LOG_IN, address, PASSWORD)

    async def _leave(self, address: str) -> None:
        """Log in here and there; then log out in one browser, in two tabs at once, and in another end all others."""
        browsers = [self._cast.stranger(address) for _ in range(BROWSERS)]
        entered = await asyncio.gather(*(self._try(Kind.LOG_IN, address, PASSWORD, browser) for browser in browsers))
        if entered[0].outcome is not Outcome.OK or entered[1].outcome is not Outcome.OK:
            return
        await self._giver.pause(0, 0.5)
        first = uuid4()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                command = self._history.begin(Kind.LOG_OUT, address, first)
                group.create_task(self._again(command, browsers[0].log_out))
            command = self._history.begin(Kind.END_OTHERS, address)
            group.create_task(self._again(command, browsers[1].end_others))

    async def _try(self, kind: Kind, address: str, password: str, browser: Visitor | None = None) -> Command:
        """Log in with a password, once: nobody knows whether one that went unanswered was counted."""
        browser = browser or self._cast.stranger(address)
        command = self._history.begin(kind, address)
        await self._once(command, lambda: browser.log_in(password))
        return command

    async def _once(self, command: Command, send: Sends) -> None:
        async def give() -> None:
            command.settle(outcome_of(await send(), done=201, refused=403))

        await self._giver.once(command, give)

    async def _again(self, command: Command, send: Sends) -> None:
        async def give() -> None:
            command.settle(outcome_of(await send(), done=204))

        await self._giver.insist(command, give, again=True)
