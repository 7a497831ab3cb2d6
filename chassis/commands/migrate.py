"""Migrate: bring the schema up to date, or look what is missing."""

import argparse
import sys
from typing import Any

from chassis import logging, migrate, settings
from chassis.commands.command import Bare, output
from chassis.errors import Misconfigured
from chassis.service import Service


async def run(of: Service[Any], given: argparse.Namespace) -> int:
    """Apply what is missing as the owner, or only list it."""
    read = settings.read(of.settings, of.name)
    logging.configure(of.name, "migrate", read.log_level, sys.stderr)
    if given.check:
        return await _look(of, read)
    if read.owner_database_url is None:
        raise Misconfigured(f"{of.name} migrate needs SAMBAND_OWNER_DATABASE_URL: the address with the owner role")
    applied = await migrate.apply(read.owner_database_url, of.name, of.migrations)
    output({"schema": of.name, "applied": [named(migration) for migration in applied]})
    return 0


async def _look(of: Service[Any], read: settings.ServiceSettings) -> int:
    missing = await migrate.missing(read.database_url, of.name, of.migrations)
    output({"schema": of.name, "missing": [named(migration) for migration in missing], "check": True})
    return 1 if missing else 0


def named(migration: migrate.Migration) -> str:
    """Name a migration with whose it is."""
    return f"{migration.origin} {migration.name}"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="only look: list what is missing, end with 1 if anything is; any role may"
    )


COMMANDS = (
    Bare(
        "migrate",
        "bring the schema up to date, as its owner",
        _arguments,
        run,
        "Apply the migrations that the schema lacks, each in a transaction of its own, as the owner role "
        "(SAMBAND_OWNER_DATABASE_URL). Safe to run twice and at the same time. With --check nothing is changed.",
    ),
)
