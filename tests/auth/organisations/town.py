"""A town around auth: organisations with their people, callers who act for them, and what is told of them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis import scope
from chassis.postgres import Connection
from chassis.scope import SYSTEM, Scope
from contracts.rights import OrganisationKind
from services.auth.organisations import grants, organisations, store, users
from services.auth.organisations.grants import OPERATOR, Giver
from services.auth.organisations.store import Organisation
from services.auth.organisations.users import NewUser
from services.auth.people.addresses import normalise
from services.auth.people.names import read_name
from tests.auth.world import World

SUPERUSER, STAFF_SUPERUSER, SUPPORT = "auth.superuser", "auth.staff-superuser", "auth.support"
PAYROLL, COMPANY_USER, UNION = "cases.payroll", "unionfees.company-user", "unionfees.union"


@dataclass(frozen=True, slots=True)
class Town:
    """Auth with organisations; everything is done in the scope that it says, the system's unless told otherwise."""

    world: World

    @asynccontextmanager
    async def conn(self, of: Scope = SYSTEM) -> AsyncIterator[Connection]:
        with scope.entered(of):
            async with self.world.database.transaction() as conn:
                yield conn

    async def organisation(self, name: str = "Eksempel AS", kind: str = "customer") -> Organisation:
        async with self.conn() as conn:
            return await organisations.add(conn, name, kind=OrganisationKind(kind))

    async def user(self, home: Organisation, address: str, *groups: str, name: str | None = None, **more: Any) -> UUID:
        """Give a new person at home in an organisation, with groups that the operator gives, or whoever may."""
        full_name = None if name is None else read_name(name)
        async with self.conn() as conn:
            added = await users.add(
                conn, OPERATOR, home.id, NewUser(normalise(address), "nb", full_name=full_name, **more)
            )
        for group in groups:
            await self.put(added.id, home, group)
        return added.id

    async def put(self, account_id: UUID, organisation: Organisation, group: str) -> None:
        """Let an account have a group, whoever would have to give it."""
        async with self.conn() as conn:
            membership_id = await store.lock_membership(conn, account_id, organisation.id)
            await store.insert_grant(conn, membership_id, organisation.id, group, "operator")
            await store.raise_membership(conn, membership_id)

    async def groups(self, account_id: UUID, organisation: Organisation) -> tuple[str, ...]:
        async with self.conn() as conn:
            return await store.find_groups(conn, account_id, organisation.id)

    async def give(self, giver: Giver, account_id: UUID, organisation: Organisation, group: str) -> UUID:
        async with self.conn(scope.organisation(organisation.id)) as conn:
            return await grants.give(conn, giver, account_id, organisation.id, group)

    async def take(self, giver: Giver, account_id: UUID, organisation: Organisation, group: str) -> UUID:
        async with self.conn(scope.organisation(organisation.id)) as conn:
            return await grants.take(conn, giver, account_id, organisation.id, group)

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """Give what is owed of one kind of message, in order."""
        async with self.conn() as conn:
            rows = await conn.fetch("select payload from outbox where type = $1 order by id", f"auth.{kind}.v1")
        return [json.loads(row["payload"]) for row in rows]
