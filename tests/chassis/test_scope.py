"""Scope: nobody sees another organisation's rows, and what was seen last is never seen by the next (sec-P10)."""

import argparse
import asyncio
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from fastapi import APIRouter

from chassis import access, cli, dead_letters, http, logging, scope
from chassis.arrival import Arrival
from chassis.consume import Consumer
from chassis.dead_letters import Retries
from chassis.handlers import Handlers, Lane
from chassis.loop import Loop
from chassis.postgres import Connection, Database
from chassis.requests import Requests
from chassis.scope import STAFF, SYSTEM, Scope
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from contracts.message import Envelope, Id, Message
from contracts.privacy import Privacy
from contracts.topics import ACCOUNTS
from tests.chassis.http_app import client_of
from tests.chassis.test_trials import Client
from tests.conftest import ROOT, Clone, OpenDatabase
from tests.support import tickets
from tests.support.asking import KEY as SYSTEM_KEY
from tests.support.asking import (
    TAKEN,
    Asker,
    ChangeThing,
    ThingRequestAccepted,
    ThingRequestNotProven,
    ThingRequestRefused,
    ThingTaken,
    arrival,
    listening,
    system,
    take,
)
from tests.support.effects import Owner
from tests.support.lanes import TOPIC, body, headers
from tests.support.lengths import length

REQUESTS = length(1_000, 10_000)
OURS, THEIRS = UUID(int=1), UUID(int=2)

CREATE_CASES = """
set role things_owner;
create table things.cases (
    id bigint generated always as identity, organisation_id uuid, text text not null, staff_see boolean not null default false);
grant select, insert, update, delete on things.cases to things_app;
alter table things.cases enable row level security, force row level security;
set local search_path = things;
create policy of_organisation on things.cases
    using (sees(organisation_id, staff_see)) with check (sees(organisation_id, staff_see));
reset role"""

INSERT_CASE = "insert into cases (organisation_id, text) values ($1, $2)"
SELECT_TEXTS = "select text from cases order by id"


@pytest.fixture
async def database(open_as: OpenDatabase, owner: Owner) -> Database:
    """A pool of one connection, so that each transaction follows the other in the same session."""
    async with owner.transaction():
        await owner.execute(CREATE_CASES)
    await owner.execute(
        "insert into things.cases (organisation_id, text, staff_see) values "
        "($1, 'ours', true), ($2, 'theirs', true), ($2, 'their secret', false), (null, 'nobody''s', true)",
        OURS,
        THEIRS,
    )
    return await open_as("things", 1)


async def texts(database: Database) -> list[str]:
    async with database.transaction() as conn:
        return [row[0] for row in await conn.fetch(SELECT_TEXTS)]


@pytest.mark.goal("sec-P10")
@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (scope.organisation(OURS), ["ours"]),
        (scope.organisation(THEIRS), ["theirs", "their secret"]),
        (scope.organisation(uuid4()), []),
        (STAFF, ["ours", "theirs", "nobody's"]),
        (SYSTEM, ["ours", "theirs", "their secret", "nobody's"]),
    ],
    ids=["ours", "theirs", "another", "staff", "system"],
)
async def test_each_scope_sees_its_rows(given: Scope, seen: list[str], database: Database) -> None:
    with scope.entered(given):
        assert await texts(database) == seen


@pytest.mark.goal("sec-P10")
async def test_without_a_scope_everything_is_refused_also_in_a_session_that_had_one(database: Database) -> None:
    async def refused() -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no scope is set"):
            await texts(database)

    await refused()
    with scope.entered(SYSTEM):
        assert len(await texts(database)) == 4
    await refused()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no scope is set"):
        async with database.transaction() as conn:
            await conn.execute(INSERT_CASE, OURS, "written by nobody")


@pytest.mark.goal("sec-P10")
async def test_no_organisation_writes_a_row_of_another(database: Database) -> None:
    with scope.entered(scope.organisation(OURS)):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with database.transaction() as conn:
                await conn.execute(INSERT_CASE, THEIRS, "put there by us")
        async with database.transaction() as conn:
            assert (
                await conn.execute("update cases set text = 'changed' where organisation_id = $1", THEIRS) == "UPDATE 0"
            )


@pytest.mark.goal("sec-P10")
async def test_a_scope_ends_with_its_transaction_also_when_that_fails(database: Database) -> None:
    async def nothing_is_left() -> None:
        async with database.transaction() as conn:
            assert not await conn.fetchval("select current_setting('samband.scope', true)")
            assert conn.context.scope is None

    with scope.entered(SYSTEM):
        await texts(database)
    await nothing_is_left()
    with scope.entered(SYSTEM), pytest.raises(LookupError):
        async with database.transaction():
            raise LookupError
    await nothing_is_left()


class Asking:
    """Requests that each note what they saw: the rows of their own organisation, and nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dice = random.Random(7)
        self.outcomes = Counter[str]()
        self.leaks: list[object] = []

    async def ask(self, organisation: UUID | None) -> None:
        with scope.entered(None if organisation is None else scope.organisation(organisation)):
            try:
                async with self._database.transaction() as conn:
                    if self._dice.random() < 0.2:
                        await conn.execute("select pg_sleep(0.001)")
                    seen = {row[0] for row in await conn.fetch("select organisation_id from cases")}
            except asyncpg.InsufficientPrivilegeError:
                seen = {None}
        self.outcomes["seen" if seen != {None} else "refused"] += 1
        if seen != {organisation}:
            self.leaks.append((organisation, seen))

    async def ask_some(self, count: int) -> None:
        """Ask side by side; about every fourth is cut off somewhere on its way."""
        whose = [self._dice.choice((OURS, THEIRS, OURS, THEIRS, None)) for _ in range(count)]
        tasks = [asyncio.create_task(self.ask(organisation)) for organisation in whose]
        for task in tasks:
            if self._dice.random() < 0.25:
                asyncio.get_running_loop().call_later(self._dice.uniform(0, 0.02), task.cancel)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError):
                self.outcomes["cut off"] += 1
            elif result is not None:
                raise AssertionError from result


@pytest.mark.goal("sec-P10")
@pytest.mark.timeout(600)
async def test_alternating_requests_on_one_connection_of_which_many_are_cut_off_never_see_each_others_rows(
    database: Database,
) -> None:
    asking = Asking(database)
    while asking.outcomes.total() < REQUESTS:
        await asking.ask_some(20)
    assert asking.leaks == []
    assert min(asking.outcomes[name] for name in ("seen", "refused", "cut off")) > REQUESTS / 50, asking.outcomes


async def test_a_transaction_without_a_scope_costs_no_statement_more_and_a_scope_is_told_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    execute = Connection.execute

    async def noted(self: Connection, query: str, *args: object, **kwargs: object) -> str:
        said.append(query)
        return await execute(self, query, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "execute", noted)
    async with database.transaction():
        pass
    assert [query for query in said if "samband.scope" in query] == []
    with scope.entered(STAFF):
        async with database.transaction():
            pass
    assert len([query for query in said if "samband.scope" in query]) == 1


async def test_a_loop_sees_all_and_its_end_leaves_nothing(database: Database) -> None:
    seen: list[Scope | None] = []

    async def tick() -> int:
        seen.append(scope.current())
        loop.stop()
        return 0

    loop = Loop("looks", tick, every=60)
    await loop.run()
    assert seen == [SYSTEM]
    assert scope.current() is None


class CaseTold(Message, topic=ACCOUNTS, key="case_id"):
    case_id: Id
    organisation_id: Annotated[UUID | None, Privacy.ID] = None


class Notes:
    """A handler that notes whose rows it sees, and fails for cases that it is told to."""

    def __init__(self) -> None:
        self.seen: dict[UUID, list[str]] = {}
        self.troubled: set[UUID] = set()
        self.handlers = Handlers()
        self.handlers.on(CaseTold, lane=Lane.URGENT)(self.note)

    async def note(self, conn: Connection, message: CaseTold, _: Envelope) -> None:
        if message.case_id in self.troubled:
            raise ZeroDivisionError
        self.seen[message.case_id] = [row[0] for row in await conn.fetch(SELECT_TEXTS)]


ALL = ["ours", "theirs", "their secret", "nobody's"]


def told(offset: int, case: UUID, organisation: UUID | None) -> ConsumerRecord:
    named = {} if organisation is None else {"organisation_id": organisation}
    value = body(case_id=case, **named)
    return ConsumerRecord(TOPIC, 0, offset, 0, 0, str(case).encode(), value, None, 0, 0, tuple(headers(CaseTold.type)))


@pytest.mark.goal("sec-P10")
async def test_each_message_of_a_batch_is_acted_on_in_its_own_organisation_also_where_the_batch_is_taken_apart(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0.0)
    notes, cases = Notes(), [uuid4() for _ in range(6)]
    whose = [OURS, OURS, THEIRS, None, OURS, THEIRS]
    of = {OURS: ["ours"], THEIRS: ["theirs", "their secret"], None: ALL}
    notes.troubled = {cases[4]}
    consumer = Consumer(database, notes.handlers, Lane.URGENT, bootstrap="unused")
    await consumer.position(Client(), [TopicPartition(TOPIC, 0)])
    records = [told(n, case, organisation) for n, (case, organisation) in enumerate(zip(cases, whose, strict=True))]
    await consumer.receive((records[0],))
    await consumer.receive(tuple(records[1:]))
    assert notes.seen == {case: of[who] for case, who in zip(cases, whose, strict=True) if case != cases[4]}
    notes.troubled.clear()
    with scope.entered(SYSTEM):
        assert await Retries(database, notes.handlers).tick() == 1
    assert notes.seen[cases[4]] == ["ours"]
    assert scope.current() is None


async def test_within_a_batch_the_scope_is_told_only_where_it_changes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[str] = []
    execute = Connection.execute

    async def noted(self: Connection, query: str, *args: object, **kwargs: object) -> str:
        if "samband.scope" in query:
            changes.append(str(args[0]))
        return await execute(self, query, *args, **kwargs)  # type: ignore[arg-type]

    notes, whose = Notes(), [OURS, OURS, OURS, None, None, THEIRS]
    consumer = Consumer(database, notes.handlers, Lane.URGENT, bootstrap="unused")
    await consumer.position(Client(), [TopicPartition(TOPIC, 0)])
    await consumer.receive((told(0, uuid4(), OURS),))
    monkeypatch.setattr(Connection, "execute", noted)
    await consumer.receive(tuple(told(n, uuid4(), organisation) for n, organisation in enumerate(whose, 1)))
    assert len(notes.seen) == 7
    assert changes == [str(OURS), "system", str(THEIRS)]


@pytest.mark.goal("sec-P10")
async def test_each_request_of_a_system_is_acted_on_in_its_organisation_also_behind_one_that_was_refused(
    database: Database, asker: Asker
) -> None:
    listening(database, replace(system("member", SYSTEM_KEY), organisations=frozenset({OURS, THEIRS})))
    found, seen = Handlers(), list[tuple[int, list[str]]]()
    asked = Requests(
        found, accepted=ThingRequestAccepted, refused=ThingRequestRefused, not_proven=ThingRequestNotProven
    )

    @asked.on(ChangeThing)
    async def look(conn: Connection, request: ChangeThing, _: object) -> None:
        seen.append((request.n, [row[0] for row in await conn.fetch(SELECT_TEXTS)]))
        if request.n == TAKEN:
            raise ThingTaken(n=request.n)

    @found.on(CaseTold)
    async def hear(conn: Connection, _: CaseTold, __: Envelope) -> None:
        seen.append((0, [row[0] for row in await conn.fetch(SELECT_TEXTS)]))

    wanted = [(1, OURS), (TAKEN, THEIRS), (2, THEIRS), (3, OURS), (4, OURS), (TAKEN, OURS)]
    signed = [asker.change(n, organisation=organisation) for n, organisation in wanted]
    asking = [arrival(each, offset=n) for n, each in enumerate(signed)]
    await take(database, *asking, Arrival.of(told(0, uuid4(), OURS)), found=found)
    of = {OURS: ["ours"], THEIRS: ["theirs", "their secret"]}
    assert seen == [(n, of[organisation]) for n, organisation in [*wanted, (0, OURS)]]
    assert scope.current() is None


@pytest.mark.goal("sec-P10")
async def test_each_request_sees_the_rows_of_its_callers_organisation_and_one_that_declares_nothing_sees_none(
    database: Database,
) -> None:
    routes = APIRouter()

    async def list_texts() -> list[str]:
        return await texts(database)

    for path, depends in (
        ("/cases", access.needs()),
        ("/all-cases", access.needs(sees=STAFF)),
        ("/open", access.anyone("a test asks")),
        ("/counter", access.anyone("a test asks", sees=SYSTEM)),
    ):
        routes.add_api_route(path, list_texts, dependencies=[depends])
    app = http.create_app(title="things", version="1", routers=[routes], authenticator=tickets.bearer())
    ours, theirs = (tickets.carried(tickets.token(organisation_id=each)) for each in (OURS, THEIRS))
    async with client_of(app) as client:
        assert (await client.get("/cases", headers=ours)).json() == ["ours"]
        assert (await client.get("/cases", headers=theirs)).json() == ["theirs", "their secret"]
        assert (await client.get("/all-cases", headers=ours)).json() == ["ours", "theirs", "nobody's"]
        assert (await client.get("/counter")).json() == ALL
        refused = await client.get("/open", headers=ours)
    assert (refused.status_code, "no scope" in refused.text) == (500, False)


async def test_an_operators_command_sees_all(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def look(_: Runtime[ServiceSettings], __: argparse.Namespace) -> int:
        print(scope.current())
        return 0

    monkeypatch.setattr(logging, "configure", lambda *_: None)
    keys = clone.cluster.keys
    monkeypatch.setenv("SAMBAND_DATABASE_URL", clone.urls("things").app)
    monkeypatch.setenv("SAMBAND_PUBLIC_KEYS", str(keys / "public"))
    monkeypatch.setenv("SAMBAND_PRIVATE_KEYS", str(keys / "private" / "things.json"))
    given = argparse.Namespace(action="look", work=look, bare=False)
    assert await cli._run(Service("things", ServiceSettings, Path(__file__).parent), given) == 0
    assert capsys.readouterr().out == f"{SYSTEM}\n"


def test_no_service_enters_a_scope_by_itself() -> None:
    found = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in ROOT.glob("services/**/*.py")}
    assert found
    own = ("scope.enter", "set_scope", "samband.scope")
    assert [str(path) for path, text in found.items() if any(each in text for each in own)] == []
