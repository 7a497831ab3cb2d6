"""Composition root of ledger."""

import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel

from chassis import access, cli, idempotency
from chassis.failpoints import reach
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from tests.faults.ledger import entries


class AddEntry(BaseModel):
    book_id: UUID
    entry_id: UUID
    stumbles: bool = False


class EntryView(BaseModel):
    entry_id: UUID
    version: int


def routers(runtime: Runtime[ServiceSettings]) -> Sequence[APIRouter]:
    routes = APIRouter(prefix="/v1", dependencies=[access.anyone("the commander asks")])

    @routes.post("/entries", status_code=201)
    async def add_entry(body: AddEntry, request: Request) -> EntryView:
        request_key = await idempotency.key_of(request, "the commander")

        async def work() -> EntryView:
            version = await entries.add(conn, entries.Wanted(body.book_id, body.entry_id, body.stumbles))
            return EntryView(entry_id=body.entry_id, version=version)

        async with runtime.database.transaction() as conn:
            answer = await idempotency.once(conn, request_key, EntryView, work)
        reach("ledger.committed")
        return answer

    return [routes]


SERVICE = Service("ledger", ServiceSettings, Path(__file__).parent, routers=routers)

if __name__ == "__main__":
    sys.exit(cli.main(SERVICE))
