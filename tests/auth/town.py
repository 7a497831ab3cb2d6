"""A town around auth: organisations with their people, callers who act for them, and what is told of them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx2
from fastapi import FastAPI, Request
from httpx2 import Response

from chassis import http, scope
from chassis.access import Caller, NotSignedIn
from chassis.postgres import Connection
from chassis.scope import SYSTEM, Scope
from chassis.texts import Texts
from contracts.rights import OrganisationKind, rights_of
from services.auth.__main__ import SERVICE
from services.auth.access_orders import api as access_orders
from services.auth.front import Front
from services.auth.organisations import organisations
from services.auth.organisations.store import Organisation
from services.auth.people.addresses import normalise
from services.auth.people.names import read_name
from services.auth.rights import grants
from services.auth.rights import store as rights
from services.auth.rights.grants import OPERATOR, Giver
from services.auth.users import api, users
from services.auth.users.users import NewUser
from tests.auth.world import DESCRIBED, World

SUPERUSER, STAFF_SUPERUSER, SUPPORT = "auth.superuser", "auth.staff-superuser", "auth.support"
PAYROLL, COMPANY_USER, UNION = "cases.payroll", "unionfees.company-user", "unionfees.union"


CALLER = "X-Test-Caller"
"""Names account and organisation of a caller, to apps of this town alone."""


@dataclass(frozen=True, slots=True)
class Acting:
    """A person who has signed in and acts for an organisation, or for none."""

    app: FastAPI
    account_id: UUID
    organisation_id: UUID | None
    source: str = "127.0.0.1"

    async def send(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> Response:
        who = {CALLER: f"{self.account_id} {self.organisation_id or ''}", "Accept-Language": "en", **(headers or {})}
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False, client=(self.source, 40_000))
        async with httpx2.AsyncClient(transport=transport, base_url="https://auth.example.no") as client:
            answer = await client.request(method, f"/v1{path}", headers=who, **body)
        DESCRIBED.check(answer)
        return answer

    async def get(self, path: str, **query: Any) -> Response:
        return await self.send("GET", path, params=query)

    async def edit(self, user_id: UUID, tag: str, **changes: Any) -> Response:
        return await self.send("PATCH", f"/users/{user_id}", headers={"If-Match": tag}, json=changes)

    async def tag(self, user_id: UUID) -> str:
        return (await self.get(f"/users/{user_id}")).headers["etag"]


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
            membership_id = await rights.lock_membership(conn, account_id, organisation.id)
            await rights.insert_grant(conn, membership_id, organisation.id, group, "operator")
            await rights.raise_membership(conn, membership_id)

    async def groups(self, account_id: UUID, organisation: Organisation) -> tuple[str, ...]:
        async with self.conn() as conn:
            return await rights.find_groups(conn, account_id, organisation.id)

    async def give(self, giver: Giver, account_id: UUID, organisation: Organisation, group: str) -> UUID:
        async with self.conn(scope.organisation(organisation.id)) as conn:
            return await grants.give(conn, giver, account_id, organisation.id, group)

    async def take(self, giver: Giver, account_id: UUID, organisation: Organisation, group: str) -> UUID:
        async with self.conn(scope.organisation(organisation.id)) as conn:
            return await grants.take(conn, giver, account_id, organisation.id, group)

    def front(self) -> Front:
        world = self.world
        return Front(world.database, world.settings, world.keys, world.chance, world.limits)

    def app(self) -> FastAPI:
        """Make the app of these routes alone; a header says who calls, and their rights are looked up as ever."""

        async def authenticator(request: Request) -> Caller:
            if CALLER not in request.headers:
                raise NotSignedIn
            account, _, organisation = request.headers[CALLER].partition(" ")
            acting = UUID(organisation) if organisation else None
            async with self.conn() as conn:
                groups = await rights.find_groups(conn, UUID(account), acting) if acting else ()
            held = frozenset(str(right) for right in rights_of(groups, service="auth"))
            return Caller(account_id=UUID(account), session_id=uuid4(), organisation_id=acting, rights=held)

        texts = [Texts(SERVICE.folder / "locales")]
        return http.create_app(
            title="auth",
            version="1",
            routers=[api.router(self.front()), access_orders.router(self.front())],
            texts=texts,
            authenticator=authenticator,
        )

    def acting(self, account_id: UUID, organisation: Organisation | None) -> Acting:
        return Acting(self.app(), account_id, None if organisation is None else organisation.id)

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """Give what is owed of one kind of message, in order."""
        async with self.conn() as conn:
            rows = await conn.fetch("select payload from outbox where type = $1 order by id", f"auth.{kind}.v1")
        return [json.loads(row["payload"]) for row in rows]
