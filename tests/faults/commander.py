"""Commander: gives the commands of a round, several at once, and notes what came of each."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

import httpx2

from deploy.local.journey import Person, code_in
from tests.faults.history import Command, History, Kind, Outcome
from tests.faults.stage import Stage

AT_ONCE = 24
AGAIN = 0.75
"""How often a command that nobody knows of is given again, with the same key; the others stay unknown."""
AGAIN_SECONDS = 30.0
CLOSED = 0.03


@dataclass(slots=True)
class Cast:
    """Whom and what a round is about; nobody else touches them."""

    books: list[UUID]
    closed_books: list[UUID]
    people: list[Person]
    """They ask for codes again and again."""
    redeemers: list[Person]
    """They ask once, and redeem what comes: a log-in would use up what else they asked for."""
    client: httpx2.AsyncClient

    @property
    def addresses(self) -> set[str]:
        return {person.address for person in (*self.people, *self.redeemers)}


class Commander:
    """One round's giver of commands; `pace` is how many a second it aims at."""

    def __init__(
        self,
        stage: Stage,
        cast: Cast,
        history: History,
        chance: random.Random,
        *,
        pace: float,
        stumbling: float,
    ) -> None:
        self._stage = stage
        self._cast = cast
        self._history = history
        self._chance = chance
        self._client = cast.client
        self._gap = 1.0 / pace
        self._stumbling = stumbling

    async def give(self, entries: int, codes: int) -> None:
        """Give that many commands of each kind; ends when each has been answered or given up."""
        redeemers = list(self._cast.redeemers[:codes])
        works = [self._entry] * entries + [self._code] * (codes - len(redeemers))
        works += [partial(self._redemption, person) for person in redeemers]
        self._chance.shuffle(works)
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for work in works:
                await asyncio.sleep(self._gap)
                await slots.acquire()
                group.create_task(work()).add_done_callback(lambda _: slots.release())

    async def _entry(self) -> None:
        closed = self._chance.random() < CLOSED
        book = self._chance.choice(self._cast.closed_books if closed else self._cast.books)
        command = self._history.begin(Kind.ENTRY, str(book), uuid4())
        stumbles = self._chance.random() < self._stumbling
        body = {"book_id": str(book), "entry_id": str(command.subject), "stumbles": stumbles}

        async def post() -> None:
            headers = {"idempotency-key": str(command.subject)}
            async with self._stage.rotation.copy(self._chance) as api:
                answer = await self._client.post(f"{api.url}/v1/entries", json=body, headers=headers)
            command.settle(_outcome(answer, created=201, refused=409))

        await self._insist(command, post)

    async def _code(self) -> None:
        await self._ask(self._chance.choice(self._cast.people))

    async def _ask(self, person: Person) -> Command:
        command = self._history.begin(Kind.CODE, person.address)
        key = str(uuid4())

        async def ask() -> None:
            answer = await person.ask(key=key)
            outcome = _outcome(answer, created=202)
            command.settle(outcome, UUID(answer.json()["challenge_id"]) if outcome is Outcome.OK else None)

        await self._insist(command, ask)
        return command

    async def _redemption(self, person: Person) -> None:
        """Ask, wait for the mail, and try its code twice at the same time: one session at most may come of it."""
        asked = await self._ask(person)
        if asked.outcome is not Outcome.OK:
            return
        try:
            mails = await self._stage.post.wait_for(1, to=person.address, within=40)
        except TimeoutError:
            return
        commands = [self._history.begin(Kind.REDEMPTION, person.address, asked.subject) for _ in range(2)]
        await asyncio.gather(*(self._redeem(person, code_in(mails[0]), command) for command in commands))

    async def _redeem(self, person: Person, code: str, command: Command) -> None:
        command.tries += 1
        try:
            answer = await person.redeem(code, challenge_id=str(command.subject))
        except httpx2.TransportError:
            return
        command.settle(_outcome(answer, created=201, refused=403))

    async def _insist(self, command: Command, give: Callable[[], Awaitable[None]]) -> None:
        """Give a command; one that stays unknown is mostly given again until somebody answers."""
        again = self._chance.random() < AGAIN
        until = asyncio.get_running_loop().time() + AGAIN_SECONDS
        while True:
            command.tries += 1
            try:
                await give()
            except httpx2.TransportError:
                command.settle(Outcome.UNKNOWN)
            if command.outcome is not Outcome.UNKNOWN or not again or asyncio.get_running_loop().time() > until:
                return
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))


def _outcome(answer: httpx2.Response, *, created: int, refused: int = 0) -> Outcome:
    """Read an answer; one that tells of an outage leaves open what was done, for a commit may have been under way."""
    if answer.status_code == created:
        return Outcome.OK
    if answer.status_code in {refused, httpx2.codes.TOO_MANY_REQUESTS}:
        return Outcome.REFUSED
    if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return Outcome.UNKNOWN
    raise AssertionError(f"{answer.request.url.path} answered {answer.status_code}: {answer.text}")
