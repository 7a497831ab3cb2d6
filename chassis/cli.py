"""Cli: the commands that every service has, and room for its own; results on standard output, one JSON object a line."""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import uvloop

from chassis import dead_letters, logging, migrate, outbox, postgres, service, settings
from chassis.errors import Misconfigured, Refusal
from chassis.sealing import CannotOpen, Keyring
from chassis.service import Runtime, Service

S = TypeVar("S", bound=settings.ServiceSettings)
Work = Callable[[Runtime[Any], argparse.Namespace], Awaitable[int]]

EX_CONFIG = 78
"""The exit code of a service that cannot start as it is configured (sysexits.h)."""


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's command that needs the database; `name` may have two words."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Work


def main(of: Service[S], commands: Sequence[Command] = ()) -> int:
    """Run `python -m services.<name> …`; gives the exit code."""
    given = parser(of, commands).parse_args()
    try:
        return uvloop.run(_run(of, given))
    except Misconfigured as error:
        print(f"error: {error}", file=sys.stderr)
        return EX_CONFIG
    except KeyboardInterrupt:
        return 130


def parser(of: Service[S], commands: Sequence[Command]) -> argparse.ArgumentParser:
    """Build the command line, with help that teaches."""
    root = argparse.ArgumentParser(prog=f"python -m services.{of.name}", description=f"The service {of.name}.")
    actions = root.add_subparsers(dest="action", required=True, metavar="COMMAND")
    for role, text in (
        ("api", "serve HTTP; needs Postgres alone"),
        ("worker", "relay the outbox, consume, and run the loops"),
        ("all", "both in one process"),
        ("migrate", "bring the schema up to date, as its owner"),
    ):
        actions.add_parser(role, help=text, description=text)
    groups: dict[str, Any] = {}
    for command in (*COMMANDS, *commands):
        group, _, name = command.name.partition(" ")
        if group not in groups:
            groups[group] = actions.add_parser(group, help=f"see {group} --help").add_subparsers(
                required=True, metavar="COMMAND"
            )
        leaf = groups[group].add_parser(name, help=command.help, description=command.help)
        command.arguments(leaf)
        leaf.set_defaults(work=command.run)
    return root


async def _run(of: Service[S], given: argparse.Namespace) -> int:
    read = settings.read(of.settings, of.name)
    if given.action == "migrate":
        return await _migrate(of, read)
    if given.action in {"api", "worker", "all"}:
        logging.configure(of.name, given.action, read.log_level)
        api, worker = given.action != "worker", given.action != "api"
        return await service.serve(of, read, api=api, worker=worker, leaving=True)
    logging.configure(of.name, "command", "ERROR")
    keyring = Keyring.load(of.name, read.public_keys, read.private_keys)
    identity = postgres.Identity(of.name, keyring, read.largest_message)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            postgres.open_database(read.database_url, identity, size=2, role="command")
        )
        try:
            return int(await given.work(Runtime(read, database), given))
        except Refusal as refusal:
            print(f"refused: {(type(refusal).__doc__ or '').strip()}", file=sys.stderr)
            return 1


async def _migrate(of: Service[S], read: settings.ServiceSettings) -> int:
    if read.owner_database_url is None:
        raise Misconfigured(f"{of.name} migrate needs SAMBAND_OWNER_DATABASE_URL: the address with the owner role")
    logging.configure(of.name, "migrate", read.log_level)
    applied = await migrate.apply(read.owner_database_url, of.name, of.migrations)
    output({"schema": of.name, "applied": [f"{migration.origin} {migration.name}" for migration in applied]})
    return 0


def output(result: dict[str, Any]) -> None:
    """Print one result as a line of JSON."""
    print(json.dumps(result, ensure_ascii=False, default=str))


def moment(text: str) -> datetime:
    """Read `2026-11-23T08:00:00+01:00`, a time without offset as UTC, or a span back from now: `90m`, `6h`, `7d`."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if text[-1:] in units and text[:-1].isdecimal():
            return datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("a time such as 2026-11-23T08:00:00+01:00, or 90m, 6h, 7d") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


async def replay(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """Send again what was published; readers that had it drop it."""
    async with runtime.database.transaction() as conn:
        found = await outbox.archived(conn, given.since, given.type)
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


async def list_dead_letters(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """List what is set aside, without content."""
    async with runtime.database.transaction() as conn:
        page = await dead_letters.page(conn, after=given.after, limit=given.limit)
    for letter in page:
        output(_summary(letter))
    if page and len(page) == given.limit:
        print(f"There may be more: dead-letters list --after {page[-1].id}", file=sys.stderr)
    return 0


async def show_dead_letter(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """Show one; its content only when asked for, for it may hold people's data."""
    async with runtime.database.transaction() as conn:
        page = await dead_letters.page(conn, only=given.id)
        if not page:
            print(f"no dead letter has the id {given.id}", file=sys.stderr)
            return 1
        result = _summary(page[0])
        if given.content:
            try:
                arrival = page[0].open(conn)
            except CannotOpen as error:
                print(f"its content does not open: {error}", file=sys.stderr)
                return 1
            result |= {
                "key": _readable(arrival.key),
                "headers": {name: _readable(value) for name, value in arrival.headers},
                "value": _readable(arrival.value),
            }
    output(result)
    return 0


async def replay_dead_letters(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """Let parked messages be tried again by the worker."""
    async with runtime.database.transaction() as conn:
        count = await dead_letters.release(conn, given.id)
    output({"to_be_tried_again": count})
    return 0 if count or given.id is None else 1


async def discard_dead_letter(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """Give a message up for good; the next of its key goes on."""
    async with runtime.database.transaction() as conn:
        gone = await dead_letters.delete(conn, given.id)
    output({"discarded": int(gone)})
    return 0 if gone else 1


def _summary(letter: dead_letters.DeadLetter) -> dict[str, Any]:
    summary = asdict(letter)
    del summary["sealed_record"]
    return summary | {"state": "parked" if letter.parked_at else "waiting"}


def _readable(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=moment, required=True, help="2026-11-23T08:00:00+01:00, or 90m, 6h, 7d back")
    parser.add_argument("--type", help="only this type, e.g. auth.AccountChanged.v1")
    parser.add_argument("--dry-run", action="store_true", help="count only")


def _page_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--after", type=int, default=0, help="begin behind this id")
    parser.add_argument("--limit", type=int, default=100, help="default 100")


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int)
    parser.add_argument("--content", action="store_true", help="open the record as well; it may hold people's data")


def _one_or_all_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=int, nargs="?", default=None)
    which.add_argument("--all", action="store_true", help="every parked message")


def _id_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int)


COMMANDS = (
    Command("outbox replay", "send again what was published since a time", _replay_arguments, replay),
    Command("dead-letters list", "list messages that were set aside", _page_arguments, list_dead_letters),
    Command("dead-letters show", "show one message that was set aside", _show_arguments, show_dead_letter),
    Command("dead-letters replay", "try parked messages again", _one_or_all_arguments, replay_dead_letters),
    Command("dead-letters discard", "give a message up for good", _id_arguments, discard_dead_letter),
)
