"""Load: accounts that are added, changed and erased without a pause, with a record of what was committed in which order."""

import random
from dataclasses import dataclass, field
from uuid import UUID

from chassis import outbox, scope
from chassis.postgres import Connection, Database, is_outage
from services.auth.people import accounts, store
from services.auth.people.addresses import normalise
from tests.support.waiting import until

CHANGE = """
update accounts set version = version + 1, active = not active, changed_at = now() where id = $1
returning id, address, language, active, current_epoch(), version"""
"""Any change of an account, which raises its version."""
LAST_OWED = "select message_id from outbox where key = $1 order by id desc limit 1"


@dataclass(slots=True)
class Load:
    """One writer; `committed` are the ids of the messages whose transactions it has seen committed."""

    database: Database
    chance: random.Random
    committed: list[UUID] = field(default_factory=list)
    living: list[UUID] = field(default_factory=list)
    number: int = 0

    async def run(self) -> None:
        """Write until the database goes away."""
        try:
            while True:
                await self._step()
        except Exception as error:
            if not is_outage(error):
                raise

    async def until(self, count: int) -> None:
        """Wait until so many more were committed."""
        goal = len(self.committed) + count

        async def enough() -> bool:
            return len(self.committed) >= goal

        await until(enough, what=f"{count} more commits", seconds=60)

    async def _step(self) -> None:
        with scope.entered(scope.SYSTEM):
            await self._write_one()

    async def _write_one(self) -> None:
        living = list(self.living)
        async with self.database.transaction() as conn:
            account_id = await self._write(conn, living)
            message_id = await conn.fetchval(LAST_OWED, str(account_id))
        self.living = living
        self.committed.append(message_id)

    async def _write(self, conn: Connection, living: list[UUID]) -> UUID:
        """Do one deed, and note in `living` what will be true if it is committed."""
        deed = self.chance.random()
        if deed < 0.4 or len(living) < 10:
            self.number += 1
            account = await accounts.add(conn, normalise(f"load{self.number}@eksempel.example"), "nb")
            living.append(account.id)
            return account.id
        account_id = self.chance.choice(living)
        if deed < 0.9:
            row = await conn.fetchrow(CHANGE, account_id)
            assert row is not None
            await outbox.add(conn, accounts.state_of(store.Account(*row)))
        else:
            living.remove(account_id)
            await accounts.erase(conn, account_id)
        return account_id
