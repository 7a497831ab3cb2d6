"""Restores: after a database was restored, count on, find what only Kafka knows, and tell readers the state again."""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis import ghosts, migrate, outbox, restores
from chassis.commands.command import Command, Unavailable, count, no_arguments, output, past, say
from chassis.errors import CannotLook, Misconfigured
from chassis.ghosts import Ghost, Looked
from chassis.postgres import Database
from chassis.service import Runtime, Service
from chassis.upkeep import Republish
from contracts import topics

DEPTH_POLL_SECONDS = 0.2
DEPTH_SAY_SECONDS = 30.0


def commands(of: Service[Any]) -> Sequence[Command]:
    """Make the commands of a service."""
    own = [topic.name for topic in topics.ALL if topic.owner == of.name and not topic.takes_requests]

    async def restored(runtime: Runtime[Any], _: argparse.Namespace) -> int:
        return await note_restore(of, runtime)

    async def list_ghosts(runtime: Runtime[Any], given: argparse.Namespace) -> int:
        return await find_ghosts(of, runtime, given, own)

    async def republish(runtime: Runtime[Any], given: argparse.Namespace) -> int:
        return await tell_again(of, runtime.database, given)

    def republish_arguments(parser: argparse.ArgumentParser) -> None:
        kinds = sorted(of.upkeep.republish)
        about = f"only one of: {', '.join(kinds) or 'nothing here'}"
        parser.add_argument("--only", choices=kinds, metavar="KIND", help=about)
        parser.add_argument(
            "--after", type=UUID, metavar="ID", help="go on behind this id, as the last line said; needs --only"
        )
        parser.add_argument("--batch", type=count, default=500, help="messages of one transaction; default 500")
        parser.add_argument(
            "--depth", type=count, default=5_000, help="wait while more than so many are owed; default 5000"
        )

    return (
        Command("restored", "say that the database was restored from a backup", no_arguments, restored, RESTORED),
        Command(
            "outbox ghosts",
            "list what Kafka holds and the database does not know",
            _ghost_arguments,
            list_ghosts,
            GHOSTS,
        ),
        Command("republish", "send the present state again", republish_arguments, republish, REPUBLISH),
    )


RESTORED = (
    "Run this once, while no role of the service runs, after its database was restored or failed over to a standby that "
    "was behind. It raises the epoch, so that what the service tells from now on is newer than anything it told in the "
    "time that was lost; lets the outbox count on above every sequence number of that time; and ends what must not come "
    "alive again, such as sessions that were ended. Needs SAMBAND_OWNER_DATABASE_URL. Then: `outbox ghosts --settle`, "
    "start the roles, `republish`. docs/operations.md has the whole way."
)
GHOSTS = (
    "Read the service's own topics since a time and list, by id, the records that are neither in the outbox nor in the "
    "archive: they were published in a time that the database has lost. Ends with 1 when there are any. With --settle the "
    "database is brought in line with what cannot be taken back: things that only a ghost tells of are declared erased, "
    "erasures are done again, mails that were sent are not sent again. Do that after `restored` and before a worker runs."
)
REPUBLISH = (
    "Owe the present state of everything that others keep copies of, and tombstones of what was erased, in small "
    "transactions; waits while the outbox is deep, so that it does not flood. Readers keep what is newer. A line tells of "
    "each transaction; to go on after an interruption give its `republished` as --only and its `after` as --after."
)


async def note_restore(of: Service[Any], runtime: Runtime[Any]) -> int:
    """Count on from the clock and end what must not come alive again; refuses while a role of the service runs."""
    read = runtime.settings
    if read.owner_database_url is None:
        raise Misconfigured(f"{of.name} restored needs SAMBAND_OWNER_DATABASE_URL: the address with the owner role")
    await migrate.require_current(read.database_url, of.name, of.migrations)
    async with runtime.database.transaction() as conn:
        running = await restores.running(conn)
    if running:
        say(
            f"refused: {of.name} is running ({', '.join(running)}): stop its roles first, they go on from what they remember"
        )
        return 1
    sequence = await restores.raise_sequence(read.owner_database_url, of.name)
    async with runtime.database.transaction() as conn:
        restore = await restores.note(conn)
        ended = await of.upkeep.restored(conn)
    output({"epoch": restore.epoch, "restored_at": restore.restored_at, "next_sequence": sequence, **ended})
    say("Now: `outbox ghosts --since <time of the backup> --settle`, start the roles, `republish`.")
    return 0


async def find_ghosts(of: Service[Any], runtime: Runtime[Any], given: argparse.Namespace, own: Sequence[str]) -> int:
    """List ghosts since a time that the archive covers, and settle them if that was asked for."""
    read = runtime.settings
    if not read.kafka:
        raise Misconfigured(f"{of.name} outbox ghosts needs SAMBAND_KAFKA: it compares what is there with the database")
    async with runtime.database.transaction() as conn:
        begins = await outbox.archive_begins(conn)
    if not read.archive_days or begins is None:
        say("refused: nothing is archived here, so that no record can be told from a ghost")
        return 1
    if given.since < begins:
        say(
            f"refused: the archive begins at {begins.isoformat()}; of what is older nobody can tell whether it is a ghost"
        )
        return 1
    looked, found, settled = Looked(), 0, 0
    search = ghosts.find(runtime.database, read.kafka, own, since=given.since, prefix=read.topic_prefix, looked=looked)
    try:
        async for ghost in search:
            if given.type is not None and ghost.type != given.type:
                continue
            found += 1
            deed = await _settle(of, runtime.database, ghost) if given.settle else None
            settled += deed is not None
            output(_line(ghost) | ({"settled": deed} if given.settle else {}))
    except CannotLook as error:
        raise Unavailable(str(error)) from None
    output({"records": looked.records, "ghosts": found, "settled": settled, "since": given.since})
    return 1 if found and not given.settle else 0


async def _settle(of: Service[Any], database: Database, ghost: Ghost) -> str | None:
    async with database.transaction() as conn:
        return await of.upkeep.settle(conn, ghost)


def _line(ghost: Ghost) -> dict[str, Any]:
    arrival, envelope = ghost.arrival, ghost.arrival.envelope
    return {
        "ghost": envelope.id if envelope else None,
        "type": ghost.type,
        "subject": envelope.subject if envelope else None,
        "topic": arrival.topic,
        "partition": arrival.partition,
        "offset": arrival.offset,
        "published_at": ghost.published_at,
        **({"fault": arrival.fault} if arrival.fault else {}),
    }


def _ghost_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=past, required=True, help="the time of the backup, or a little before")
    parser.add_argument("--type", help="only this type, e.g. auth.AccountChanged.v1")
    parser.add_argument("--settle", action="store_true", help="also bring the database in line with them")


async def tell_again(of: Service[Any], database: Database, given: argparse.Namespace) -> int:
    """Owe the present state, batch by batch."""
    if given.after is not None and given.only is None:
        say("refused: --after is an id of one kind; say of which with --only")
        return 2
    chosen = {name: told for name, told in of.upkeep.republish.items() if given.only in {None, name}}
    if not chosen:
        say(f"{of.name} owns nothing that others keep copies of.")
    total = 0
    for name, told in chosen.items():
        after = None if given.after is None else str(given.after)
        while ids := await _batch(database, told, after, given):
            total, after = total + len(ids), ids[-1]
            output({"republished": name, "count": len(ids), "after": after})
    output({"republished_in_all": total})
    return 0


async def _batch(database: Database, told: Republish, after: str | None, given: argparse.Namespace) -> Sequence[str]:
    await _wait_until_shallow(database, given.depth)
    async with database.transaction() as conn:
        return await told(conn, after, given.batch)


async def _wait_until_shallow(database: Database, most: int) -> None:
    waited = 0.0
    while True:
        async with database.transaction() as conn:
            depth, _ = await outbox.depth(conn)
        if depth <= most:
            return
        if waited % DEPTH_SAY_SECONDS < DEPTH_POLL_SECONDS:
            say(f"{depth} messages are owed; waiting until they are {most} or fewer. Does a worker run?")
        await asyncio.sleep(DEPTH_POLL_SECONDS)
        waited += DEPTH_POLL_SECONDS
