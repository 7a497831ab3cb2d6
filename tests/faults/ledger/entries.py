"""Entries: the next number of a book, and the event that tells of it, in one transaction."""

from dataclasses import dataclass
from uuid import UUID

from chassis import outbox
from chassis.errors import Kind, Refusal
from chassis.failpoints import reach
from chassis.postgres import Connection
from tests.faults.ledger.messages import EntryAdded

# The row of the book is taken first: whoever comes second waits here, and its outbox id follows the first one's commit.
NEXT_VERSION = """
insert into books as b (id, version) values ($1, 1)
on conflict on constraint books_pk do update set version = b.version + 1
returning version, closed"""

INSERT_ENTRY = "insert into entries (book_id, version, entry_id) values ($1, $2, $3)"


class BookClosed(Refusal):
    """This book is closed.

    Nothing can be added to it.
    """

    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entry that somebody wants written; the name is theirs."""

    book_id: UUID
    entry_id: UUID
    stumbles: bool = False


async def add(conn: Connection, wanted: Wanted) -> int:
    """Write an entry and owe its event; gives its number in the book. Raises `BookClosed`."""
    row = await conn.fetchrow(NEXT_VERSION, wanted.book_id)
    assert row is not None
    if row["closed"]:
        raise BookClosed
    version = int(row["version"])
    await conn.execute(INSERT_ENTRY, wanted.book_id, version, wanted.entry_id)
    reach("ledger.written")
    await outbox.add(
        conn,
        EntryAdded(book_id=wanted.book_id, entry_id=wanted.entry_id, version=version, stumbles=wanted.stumbles),
    )
    reach("ledger.owed")
    return version
