"""Dead letters: what was set aside, seen without content, tried again or given up."""

import argparse
from dataclasses import asdict
from typing import Any

from chassis import dead_letters
from chassis.commands.command import Command, count, output, say
from chassis.sealing import CannotOpen
from chassis.service import Runtime


async def list_dead_letters(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """List what is set aside, without content."""
    async with runtime.database.transaction() as conn:
        page = await dead_letters.page(conn, after=given.after, limit=given.limit)
    for letter in page:
        output(_summary(letter))
    if page and len(page) == given.limit:
        say(f"There may be more: dead-letters list --after {page[-1].id}")
    return 0


async def show_dead_letter(runtime: Runtime[Any], given: argparse.Namespace) -> int:
    """Show one; its content only when asked for, for it may hold people's data."""
    async with runtime.database.transaction() as conn:
        page = await dead_letters.page(conn, only=given.id)
        if not page:
            say(f"no dead letter has the id {given.id}")
            return 1
        result = _summary(page[0])
        if given.content:
            try:
                arrival = page[0].open(conn)
            except CannotOpen as error:
                say(f"its content does not open: {error}")
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
        released = await dead_letters.release(conn, given.id)
    output({"to_be_tried_again": released})
    return 0 if released or given.id is None else 1


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


def _page_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--after", type=count, default=0, help="begin behind this id")
    parser.add_argument("--limit", type=count, default=100, help="default 100")


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=count)
    parser.add_argument("--content", action="store_true", help="open the record as well; it may hold people's data")


def _one_or_all_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=count, nargs="?", default=None)
    which.add_argument("--all", action="store_true", help="every parked message")


def _id_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=count)


COMMANDS = (
    Command(
        "dead-letters list",
        "list messages that were set aside",
        _page_arguments,
        list_dead_letters,
        "List the messages that could not be handled, oldest first, without content. `waiting` ones are tried again by "
        "the worker, or wait behind an earlier one of their key; `parked` ones wait for you.",
    ),
    Command(
        "dead-letters show",
        "show one message that was set aside",
        _show_arguments,
        show_dead_letter,
        "Show one message that was set aside, and why. Ends with 1 when no message has the id.",
    ),
    Command(
        "dead-letters replay",
        "try parked messages again",
        _one_or_all_arguments,
        replay_dead_letters,
        "Let the worker try a parked message, or all of them, again, with new attempts; do it once the cause is mended. "
        "Ends with 1 when no parked message has the id.",
    ),
    Command(
        "dead-letters discard",
        "give a message up for good",
        _id_arguments,
        discard_dead_letter,
        "Delete a message that was set aside: it is never handled, and the next of its key goes on. "
        "Ends with 1 when no message has the id.",
    ),
)
