"""Editing: a superuser changes users, several times at once, and gives and takes their rights."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx2

from tests.faults.giving import AGAIN_SECONDS, Giver, outcome_of
from tests.faults.history import Command, Kind, Outcome
from tests.faults.visitor import Visitor

EDITORS, EDITS = 2, 4
GROUPS, TURNS = ("cases.payroll", "cases.reporter"), 4


@dataclass(frozen=True, slots=True)
class Seen:
    """A user in one state; `tag` names it, and `version` counts the changes of their data."""

    tag: str
    full_name: str | None

    @property
    def version(self) -> int:
        return int(self.tag.strip('"').split("-")[1])


class Editing:
    """The work of one superuser, who has signed in."""

    def __init__(self, giver: Giver, superuser: Visitor, *, seconds: float) -> None:
        self._giver = giver
        self._superuser = superuser
        self._pause = seconds / max(EDITS, TURNS) / 2

    def works(self, user_id: UUID) -> Iterator[Coroutine[Any, Any, None]]:
        """Give what is done to a user, to be run at the same time."""
        for _ in range(EDITORS):
            yield self._edits(str(user_id))
        for group in GROUPS:
            yield self._turns(str(user_id), group)

    async def _edits(self, user_id: str) -> None:
        """Change the user again and again, each time as they were seen last; every second time switch them off, or on again."""
        for n in range(EDITS):
            seen = await self._look(user_id)
            if seen is None:
                return
            name = f"Navn {uuid4().hex}"
            changes = {"full_name": name} | ({"active": n % 4 == 1} if n % 2 == 1 else {})
            command = self._giver.history.begin(Kind.EDIT, user_id)
            command.seen = seen.version
            await self._edit(command, seen, changes)
            await self._giver.pause(0, self._pause)

    async def _edit(self, command: Command, seen: Seen, changes: dict[str, Any]) -> None:
        async def give() -> None:
            answer = await self._superuser.edit(command.key, seen.tag, changes)
            command.settle(outcome_of(answer, done=200, refused=412))
            if command.outcome is Outcome.OK:
                command.version = _seen(answer).version

        await self._giver.once(command, give)
        if command.outcome is Outcome.UNKNOWN:
            now = await self._look(command.key)
            # Another may have changed them since: then nobody knows for good.
            if now is not None and now.full_name == changes["full_name"]:
                command.settle(Outcome.OK)

    async def _look(self, user_id: str) -> Seen | None:
        """Look until somebody answers; None when nobody does for a while."""
        until = asyncio.get_running_loop().time() + AGAIN_SECONDS
        while asyncio.get_running_loop().time() < until:
            try:
                answer = await self._superuser.see(user_id)
            except httpx2.TransportError:
                pass
            else:
                if answer.status_code == httpx2.codes.OK:
                    return _seen(answer)
                assert answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR, answer.text
            await self._giver.pause(0.1, 1)
        return None

    async def _turns(self, user_id: str, group: str) -> None:
        """Give a group of rights and take it again, in turns, until nobody knows whether the user has it."""
        for n in range(TURNS):
            gives = n % 2 == 0
            command = self._giver.history.begin(Kind.RIGHT, user_id)
            command.group, command.gives = group, gives

            async def give(gives: bool = gives, command: Command = command) -> None:
                answer = await self._superuser.set_right(user_id, group, gives=gives)
                command.settle(outcome_of(answer, done=204))

            await self._giver.insist(command, give, again=True)
            if command.outcome is not Outcome.OK:
                return
            await self._giver.pause(0, self._pause)


def _seen(answer: httpx2.Response) -> Seen:
    return Seen(answer.headers["etag"], answer.json()["full_name"])
