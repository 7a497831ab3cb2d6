"""Outbox: what waits and why, and what was published, sent again."""

import argparse
from dataclasses import asdict
from typing import Any

from chassis import outbox
from chassis.commands.command import Command, no_arguments, output, past, say
from chassis.postgres import Connection
from chassis.service import Runtime
from contracts import catalogue


async def status(runtime: Runtime[Any], given: argparse.Namespace) -> int:  # noqa: ARG001 -- a command's signature.
    """Tell what waits, what is held back and why, how far the archive goes, and which relay leads."""
    async with runtime.database.transaction() as conn:
        count, oldest = await outbox.depth(conn)
        waiting, holds = await outbox.waiting(conn), await outbox.holds(conn)
        begins, leader = await outbox.archive_begins(conn), await outbox.leader(conn)
    for topic in waiting:
        output({"topic": topic.topic, "waiting": topic.count, "oldest_seconds": round(topic.oldest_seconds, 1)})
    for held in holds:
        output({"held": "topic" if held.key is None else "key", **asdict(held), "why": _why(held)})
    output(
        {
            "depth": count,
            "oldest_seconds": round(oldest, 1),
            "held": len(holds),
            "archive_days": runtime.settings.archive_days,
            "archive_begins": begins,
            "relay_leader": None if leader is None else asdict(leader),
        }
    )
    if leader is None:
        say("No relay leads: start a worker, or nothing leaves the outbox.")
    return 0


def _why(held: outbox.Held) -> str:
    if held.key is None:
        return (
            "the topic is missing, closed to this service, or has too few replicas; mend it, and it goes on by itself"
        )
    return "Kafka refuses the bytes of its first message; raise the topic's max.message.bytes, and it goes on by itself"


async def replay(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """Send again what was published; readers that had it drop it."""
    async with runtime.database.transaction() as conn:
        if given.type is not None and not await _exists(conn, runtime.database.identity.service, given.type):
            return 1
        found = await outbox.archived(conn, given.since, given.type)
        begins = await outbox.archive_begins(conn)
        if begins is not None and given.since < begins:
            say(f"The archive begins at {begins.isoformat()}; what is older is gone. `republish` sends the state.")
        for kind in found:
            output(asdict(kind))
        count = 0 if given.dry_run else await outbox.replay(conn, given.since, given.type)
    unsendable = sum(kind.sealed for kind in found)
    output(
        {
            "found": sum(kind.count for kind in found),
            "owed_again": count,
            "kept_no_value": unsendable,
            "dry_run": given.dry_run,
        }
    )
    return 0


async def _exists(conn: Connection, service: str, kind: str) -> bool:
    """Tell whether this service publishes a type; says what there is where it does not."""
    declared = [message.type for message in catalogue.messages() if message.topic.owner == service]
    if kind in declared or kind in (archived := await outbox.archived_types(conn)):
        return True
    known = ", ".join(sorted({*declared, *archived})) or "none"
    say(f"refused: {service} publishes no type {kind!r}; there are: {known}")
    return False


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=past, required=True, help="2026-11-23T08:00:00+01:00, or 90m, 6h, 7d back")
    parser.add_argument("--type", help="only this type, e.g. auth.AccountChanged.v1")
    parser.add_argument("--dry-run", action="store_true", help="count only")


COMMANDS = (
    Command(
        "outbox status",
        "what waits to be sent, what is held back and why, and who sends",
        no_arguments,
        status,
        "One line for each topic with waiting messages, one for each key or topic that Kafka refuses, and a last one with "
        "all of it: depth, age of the oldest in seconds, days and beginning of the archive, and the session of the relay "
        "that leads (null where none does).",
    ),
    Command(
        "outbox replay",
        "send again what was published since a time",
        _replay_arguments,
        replay,
        "Owe again what the archive holds since a time, with the same ids: readers that had it drop it, latecomers take "
        "it. Messages with sealed secrets kept no value and are not sent. Ends with 1 for a type that is not published "
        "here, and says which are.",
    ),
)
