"""What `ledger` says."""

from typing import Annotated

from contracts.message import Id, Message
from contracts.privacy import Privacy
from contracts.topics import Topic

ENTRIES = Topic("ledger.entries.v1")


class EntryAdded(Message, topic=ENTRIES, key="book_id"):
    """An entry was written: the `version`-th of its book, counted from 1 without a gap.

    One that `stumbles` makes its reader fail now and then, as long as the reader is told to.
    """

    book_id: Id
    entry_id: Id
    version: Annotated[int, Privacy.OPEN]
    stumbles: Annotated[bool, Privacy.OPEN] = False
