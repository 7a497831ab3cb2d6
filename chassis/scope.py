"""Scope: whose rows the SQL of a request, a message, a loop or a command may see (row level security, sec-P10).

Only the chassis enters one, where it dispatches work; `Database.transaction()` tells it to Postgres. What has none sees no
row of a table with a policy: the policy's function refuses (`sees` in the chassis' migrations).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows are seen; `setting` is how Postgres is told."""

    setting: str


SYSTEM = Scope("system")
"""All rows: for timers, operators' commands, and what must look at people before it is known who asks."""
STAFF = Scope("staff")
"""The rows of all organisations that policies show to caseworkers and the union."""

_current: ContextVar[Scope | None] = ContextVar("samband_scope", default=None)


def organisation(organisation_id: UUID) -> Scope:
    """Give the scope of one organisation: its own rows."""
    return Scope(str(organisation_id))


def current() -> Scope | None:
    """Give the scope that transactions are opened in here and now."""
    return _current.get()


@contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Open transactions in this scope, or in none, for the block."""
    before = _current.set(scope)
    try:
        yield
    finally:
        _current.reset(before)


def enter(scope: Scope | None) -> None:
    """Open transactions in this scope from now on, to the end of the block that `entered` one last."""
    _current.set(scope)
