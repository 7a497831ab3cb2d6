"""Statements: every SQL constant fits the migrated schema as the login role, and the relay reads without searching."""

import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, TypeAlias

import asyncpg
import pytest

from chassis import dead_letters, idempotency, inbound, inbox, outbox, relay, requests, restores
from chassis.postgres import Database

MODULES = (outbox, inbox, dead_letters, idempotency, inbound, relay, requests, restores)
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
VERBS = ("select", "insert", "update", "delete", "with")


def statements() -> Iterator[tuple[str, str]]:
    """Give every constant that is SQL, by its full name."""
    for module in MODULES:
        yield from own_statements(module)


def own_statements(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, value in vars(module).items():
        if name.isupper() and isinstance(value, str) and value.split(maxsplit=1)[0].lower() in VERBS:
            yield f"{module.__name__}.{name}", value


STATEMENTS = dict(statements())


def test_there_are_statements_of_every_module_to_look_at() -> None:
    assert len(STATEMENTS) > 15
    assert all(list(own_statements(module)) for module in MODULES)


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_fits_the_schema_as_the_login_role(name: str, database: Database) -> None:
    async with database.transaction() as conn:
        prepared = await conn.prepare(STATEMENTS[name])
        assert await conn.fetchval("select current_user") == "things_app"
        numbers = {int(number) for number in re.findall(r"\$([0-9]+)", STATEMENTS[name])}
        assert numbers == set(range(1, len(prepared.get_parameters()) + 1))


FILL = """
insert into things.outbox (message_id, topic, key, type, headers, payload, keeps_payload)
select gen_random_uuid(), 'auth.accounts.v1', (n % 500)::text, 'auth.ThingHappened.v1', '{}',
    decode(repeat('00', 300), 'hex'), true
from generate_series(1, 20000) n"""


@pytest.mark.parametrize(
    ("gone", "held_keys", "held_topics"),
    [
        (0, [], []),
        (1000, [], []),
        (1000, [("auth.accounts.v1", str(n)) for n in range(20)], ["auth.codes.v1"]),
    ],
    ids=["first", "settling", "holding"],
)
async def test_a_cycle_reads_the_next_messages_along_the_primary_key_and_sorts_nothing(
    gone: int, held_keys: list[tuple[str, str]], held_topics: list[str], database: Database, owner: Owner
) -> None:
    await owner.execute(FILL)
    await owner.execute("vacuum analyze things.outbox")
    ids = [row[0] for row in await owner.fetch("select id from things.outbox order by id limit $1", gone)]
    parameters = (ids, True, [topic for topic, _ in held_keys], [key for _, key in held_keys], held_topics, 1000)
    async with database.transaction() as conn:
        await outbox.turn_over(conn, 7)
    for planned in ("analyze", "generic_plan"):  # As it is planned for these values, and for any.
        async with database.transaction() as conn:
            undone = conn.transaction()
            await undone.start()
            plan = await conn.fetchval(f"explain ({planned}, format json) {outbox.CYCLE}", *parameters)
            await undone.rollback()
        found = list(nodes(json.loads(plan)[0]["Plan"]))
        scans = [node for node in found if node.get("Relation Name") == "outbox" and "Scan" in node["Node Type"]]
        (next_rows,) = [scan for scan in scans if "Index Cond" not in scan]
        assert not [node for node in found if node["Node Type"] in {"Sort", "Incremental Sort"}]
        assert not [scan for scan in scans if scan["Node Type"] == "Seq Scan"]
        assert (next_rows["Index Name"], next_rows["Scan Direction"]) == ("outbox_pk", "Forward")
        if planned == "analyze":
            assert next_rows["Actual Rows"] == 1000
            assert next_rows.get("Rows Removed by Filter", 0) <= gone + 100


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a plan's nodes, from the top."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
