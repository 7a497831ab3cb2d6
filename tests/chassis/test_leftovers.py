"""Leftovers: nothing that is done on a pool's connection outlives its transaction, so the pool need not undo anything."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.postgres import Database
from tests.conftest import ROOT, OpenDatabase

OWN_CONNECTIONS = {"chassis/migrate.py", "chassis/relay.py", "chassis/bell.py"}
"""These open connections of their own, which nobody gets after them."""
STAYS = re.compile(
    r"""^\s*set\s+(?!local\b|constraints\b|transaction\b)
      | ^\s*(listen|prepare|discard|reset|load)\b
      | \bset_config\s*\([^()]*,\s*false\s*\)
      | \bpg_(try_)?advisory_lock(_shared)?\s*\(
      | \bwith\s+hold\b
      | \bcreate\s+(global\s+|local\s+)?temp""",
    re.IGNORECASE | re.VERBOSE,
)


def statements() -> Iterator[tuple[str, str]]:
    """Give every text in the product that may be SQL, with its place."""
    for path in (*ROOT.glob("chassis/*.py"), *ROOT.glob("services/**/*.py")):
        name = str(path.relative_to(ROOT))
        if name not in OWN_CONNECTIONS:
            yield from texts(name, path)


def texts(name: str, path: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
            yield f"{name}:{node.lineno}", node.value


def test_no_statement_leaves_anything_in_its_session() -> None:
    found = dict(statements())
    assert len(found) > 500
    assert [place for place, text in found.items() if STAYS.search(text)] == []


@pytest.mark.parametrize(
    "sql",
    [
        "set statement_timeout = '1s'",
        "set session authorization x",
        "select set_config('app.organisation', $1, false)",
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_lock_shared(1)",
        "declare c cursor with hold for select 1",
        "create temp table t (n int)",
        "LISTEN bell",
    ],
)
def test_it_would_see_one_that_does(sql: str) -> None:
    assert STAYS.search(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "set local statement_timeout = '1s'",
        "update t set n = 1",
        "select set_config('app.organisation', $1, true)",
        "select pg_advisory_xact_lock(1)",
    ],
)
def test_what_ends_with_the_transaction_may_be_done(sql: str) -> None:
    assert not STAYS.search(sql)


@pytest.fixture
async def alone(open_as: OpenDatabase) -> Database:
    """A pool of one connection: each transaction follows the other in the same session."""
    return await open_as("things", 1)


async def test_a_scope_ends_with_its_transaction_also_when_that_fails(alone: Database) -> None:
    with pytest.raises(LookupError):
        async with alone.transaction() as conn:
            await conn.execute("select set_config('app.organisation', 'mine', true)")
            raise LookupError
    async with alone.transaction() as conn:
        assert not await conn.fetchval("select current_setting('app.organisation', true)")


async def test_a_lock_ends_with_its_transaction(alone: Database) -> None:
    async with alone.transaction() as conn:
        await conn.execute("select pg_advisory_xact_lock(7)")
        assert await conn.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        )
    async with alone.transaction() as conn:
        assert not await conn.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        )
