"""Command: what the command line is made of; results on standard output, one JSON object a line, words on standard error."""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.service import Runtime, Service

EX_DONE, EX_REFUSED = 0, 1
EX_UNAVAILABLE = 69
"""The exit code of a command that could not reach what it needs (sysexits.h): trying again later may help."""
EX_CONFIG = 78
"""The exit code of a service that cannot start as it is configured (sysexits.h)."""


MOST = 2**63 - 1
LONGEST_NUMBER = len(str(MOST))


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's command that needs the database; `name` may have two words, `about` is what its `--help` teaches."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Runtime[Any], argparse.Namespace], Awaitable[int]]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Bare:
    """A command that opens what it needs itself; it may run where nothing else does."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Service[Any], argparse.Namespace], Awaitable[int]]
    about: str = ""


class Unavailable(Exception):
    """Something that the command needs does not answer; the text says what and where."""


def output(result: dict[str, Any]) -> None:
    """Print one result as a line of JSON."""
    print(json.dumps(result, ensure_ascii=False, default=str))


def say(text: str) -> None:
    """Tell a person something beside the results."""
    print(text, file=sys.stderr, flush=True)


def no_arguments(_: argparse.ArgumentParser) -> None:
    """Take none."""


def moment(text: str) -> datetime:
    """Read `2026-11-23T08:00:00+01:00`, a time without offset as UTC, or a span back from now: `90m`, `6h`, `7d`."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if text[-1:] in units and text[:-1].isdecimal():
            return datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("a time such as 2026-11-23T08:00:00+01:00, or 90m, 6h, 7d") from None


def past(text: str) -> datetime:
    """Read a moment as above that is not ahead."""
    found = moment(text)
    if found > datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{found.isoformat()} is ahead; give a time that has been")
    return found


def count(text: str) -> int:
    """Read a number of 1 or more, as large as a database's `bigint` at most."""
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER) or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST}")
    return int(text)
