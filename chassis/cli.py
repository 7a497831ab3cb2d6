"""Cli: the roles of a service, the commands that every service has, and room for its own."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import asyncpg
import uvloop

from chassis import logging, postgres, scope, service, settings
from chassis.commands import dead_letters, doctor, keys, migrate, outbox, restores
from chassis.commands.command import EX_CONFIG, EX_REFUSED, EX_UNAVAILABLE, Bare, Command, Unavailable, say
from chassis.errors import Misconfigured, Refusal
from chassis.sealing import Keyring
from chassis.service import Runtime, Service

S = TypeVar("S", bound=settings.ServiceSettings)

CONNECT_SECONDS = 10.0
"""How long a command waits for Postgres; a role waits for ever."""
GROUPS = {
    "outbox": "what is owed to Kafka, and what was sent",
    "dead-letters": "messages that were set aside",
    "keys": "the keys that seal messages to their readers",
}
EPILOG = """\
Results are JSON on standard output, one object a line; words for people are on standard error.
Exit codes: 0 done; 1 refused, not found, or something is wrong; 2 used wrongly; 69 Postgres or Kafka does not answer;
78 not configured rightly. docs/operations.md tells when to use which command."""


def common(of: Service[S]) -> Sequence[Command | Bare]:
    """Give the commands that every service has."""
    return (
        *migrate.COMMANDS,
        *outbox.COMMANDS,
        *dead_letters.COMMANDS,
        *restores.commands(of),
        *keys.COMMANDS,
        *doctor.COMMANDS,
    )


def main(of: Service[S], commands: Sequence[Command | Bare] = ()) -> int:
    """Run `python -m services.<name> …`; gives the exit code."""
    given = parser(of, commands).parse_args()
    try:
        return uvloop.run(_run(of, given))
    except Misconfigured as error:
        say(f"error: {error}")
        return EX_CONFIG
    except Unavailable as error:
        say(f"error: {error}")
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # Whoever read the results has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_REFUSED


def parser(of: Service[S], commands: Sequence[Command | Bare] = ()) -> argparse.ArgumentParser:
    """Build the command line, with help that teaches."""
    root = argparse.ArgumentParser(
        prog=f"python -m services.{of.name}",
        description=f"The service {of.name}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = root.add_subparsers(dest="action", required=True, metavar="COMMAND")
    for role, text in (
        ("api", "serve HTTP; needs Postgres alone"),
        ("worker", "relay the outbox, consume, and run the loops"),
        ("all", "both in one process"),
    ):
        actions.add_parser(role, help=text, description=text)
    groups: dict[str, Any] = {}
    for command in (*common(of), *commands):
        group, _, name = command.name.partition(" ")
        if name and group not in groups:
            about = GROUPS.get(group)
            more = f"see {group} --help"
            made = actions.add_parser(group, help=f"{about}; {more}" if about else more, description=about)
            groups[group] = made.add_subparsers(required=True, metavar="COMMAND")
        leaf = (groups[group] if name else actions).add_parser(
            name or group, help=command.help, description=command.about or command.help
        )
        command.arguments(leaf)
        leaf.set_defaults(work=command.run, bare=isinstance(command, Bare))
    return root


async def _run(of: Service[S], given: argparse.Namespace) -> int:
    if given.action in {"api", "worker", "all"}:
        read = settings.read(of.settings, of.name)
        logging.configure(of.name, given.action, read.log_level)
        api, worker = given.action != "worker", given.action != "api"
        return await service.serve(of, read, api=api, worker=worker, leaving=True)
    logging.configure(of.name, "command", "ERROR", sys.stderr)
    try:
        return int(await given.work(of, given)) if given.bare else await _with_database(of, given)
    except Refusal as refusal:
        say(f"refused: {(type(refusal).__doc__ or '').strip()}")
        return EX_REFUSED
    except asyncpg.UndefinedTableError:
        raise Misconfigured(
            f"the schema of {of.name} lacks a table: run `python -m services.{of.name} migrate`"
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        if isinstance(error, BrokenPipeError) or not (postgres.is_outage(error) or _is_refused(error)):
            raise
        raise Unavailable(f"Postgres does not answer as it should: {str(error) or type(error).__name__}") from None


def _is_refused(error: BaseException) -> bool:
    return isinstance(
        error,
        (
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.InsufficientPrivilegeError,
        ),
    )


async def _with_database(of: Service[S], given: argparse.Namespace) -> int:
    read = settings.read(of.settings, of.name)
    keyring = Keyring.load(of.name, read.public_keys, read.private_keys)
    identity = postgres.Identity(of.name, keyring, read.largest_message)
    async with AsyncExitStack() as stack:
        opening = postgres.open_database(read.database_url, identity, size=2, role="command")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                database = await stack.enter_async_context(opening)
        except TimeoutError:
            where = settings.place(read.database_url)
            raise Unavailable(f"Postgres at {where} did not answer in {CONNECT_SECONDS:g} s") from None
        with scope.entered(scope.SYSTEM):
            return int(await given.work(Runtime(read, database), given))
