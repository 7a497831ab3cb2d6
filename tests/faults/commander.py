"""Commander: gives the commands of a round, several at once, and notes what came of each."""

import asyncio
import random
from functools import partial
from uuid import UUID, uuid4

import httpx2

from deploy.local.journey import Person, code_in
from tests.faults.acts import Acts
from tests.faults.cast import Cast
from tests.faults.giving import Giver, outcome_of
from tests.faults.history import Command, History, Kind, Outcome
from tests.faults.stage import Stage

AT_ONCE = 24
CLOSED = 0.03


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
        self._giver = Giver(stage, history, chance, cast.client)
        self._gap = 1.0 / pace
        self._stumbling = stumbling

    async def give(self, entries: int, codes: int) -> None:
        """Give that many commands of each kind, and play the acts besides; ends when each has been answered or given up."""
        redeemers = list(self._cast.redeemers[:codes])
        works = [self._entry] * entries + [self._code] * (codes - len(redeemers))
        works += [partial(self._redemption, person) for person in redeemers]
        self._chance.shuffle(works)
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for act in Acts(self._giver, self._cast).all(seconds=len(works) * self._gap):
                group.create_task(act)
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
            command.settle(outcome_of(answer, done=201, refused=409))

        await self._giver.insist(command, post)

    async def _code(self) -> None:
        await self._ask(self._chance.choice(self._cast.people))

    async def _ask(self, person: Person) -> Command:
        command = self._history.begin(Kind.CODE, person.address)
        key = str(uuid4())

        async def ask() -> None:
            answer = await person.ask(key=key)
            outcome = outcome_of(answer, done=202)
            command.settle(outcome, UUID(answer.json()["challenge_id"]) if outcome is Outcome.OK else None)

        await self._giver.insist(command, ask)
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
        command.settle(outcome_of(answer, done=201, refused=403))
