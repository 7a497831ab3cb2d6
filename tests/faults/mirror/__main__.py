"""Composition root of mirror."""

import random
import sys
from pathlib import Path

from chassis import cli
from chassis.failpoints import reach
from chassis.handlers import Handlers
from chassis.postgres import Connection
from chassis.service import Service
from chassis.settings import ServiceSettings
from contracts.message import Envelope
from tests.faults.ledger.messages import EntryAdded
from tests.faults.mirror import facts

INSERT_EFFECT = "insert into effects (book_id, version, entry_id, event_id) values ($1, $2, $3, $4)"
COUNT = """
insert into totals as t (book_id, entries) values ($1, 1)
on conflict on constraint totals_pk do update set entries = t.entries + 1"""
IS_STUMBLING = "select stumbling from moods"

HANDLERS = Handlers()
facts.add(HANDLERS)


class Stumbled(Exception):
    """The handler is faulty just now, for this message; later it is mended."""


@HANDLERS.on(EntryAdded)
async def copy(conn: Connection, entry: EntryAdded, envelope: Envelope) -> None:
    await conn.execute(INSERT_EFFECT, entry.book_id, entry.version, entry.entry_id, envelope.id)
    await conn.execute(COUNT, entry.book_id)
    reach("mirror.copied")
    if entry.stumbles and await conn.fetchval(IS_STUMBLING) and random.random() < 0.6:
        raise Stumbled


SERVICE = Service("mirror", ServiceSettings, Path(__file__).parent, handlers=HANDLERS)

if __name__ == "__main__":
    sys.exit(cli.main(SERVICE))
