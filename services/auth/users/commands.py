"""Operators' commands about organisations, their users and rights."""

import argparse
import io
import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from chassis.commands.command import Command, no_arguments, output, say
from chassis.service import Runtime
from chassis.texts import Language
from contracts.rights import BY_NAME, Grantor, OrganisationKind
from services.auth.organisations import organisations
from services.auth.organisations import store as organisations_store
from services.auth.organisations.errors import NoSuchOrganisation
from services.auth.organisations.numbers import read_number
from services.auth.organisations.store import Organisation
from services.auth.people import accounts
from services.auth.people import store as people
from services.auth.people.addresses import normalise
from services.auth.people.store import Person
from services.auth.people.user_names import Login
from services.auth.rights import grants
from services.auth.rights import store as rights
from services.auth.settings import AuthSettings
from services.auth.users import users
from services.auth.users.imports import Import, Line, Outcome, Result, read_lines

PAGE, BATCH, TELL_EVERY = 500, 200, 10_000


async def add(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Add an organisation; raises `NumberTaken`."""
    name, number = organisations.read_name(given.name), None if given.number is None else read_number(given.number)
    async with runtime.database.transaction() as conn:
        added = await organisations.add(
            conn, name, number=number, kind=OrganisationKind(given.kind), organisation_id=given.id
        )
    output({"added": str(added.id), **_shown(added)})
    return 0


async def show(runtime: Runtime[AuthSettings], _: argparse.Namespace) -> int:
    """List all organisations, the oldest first."""
    after = UUID(int=0)
    while True:
        async with runtime.database.transaction() as conn:
            page = await organisations_store.find_organisations(conn, after=after, limit=PAGE)
        for organisation in page:
            output({"organisation_id": str(organisation.id), **_shown(organisation)})
        if len(page) < PAGE:
            return 0
        after = page[-1].id


def _shown(organisation: Organisation) -> dict[str, object]:
    return {
        "name": organisation.name,
        "number": organisation.number,
        "kind": organisation.kind.value,
        "active": organisation.active,
    }


async def add_superuser(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Make somebody a superuser, with an account if they have none; once is as good as twice."""
    address = normalise(given.address)
    async with runtime.database.transaction() as conn:
        organisation = await organisations.require(conn, given.organisation)
        account = await people.lock_account_by_login(conn, Login(address))
        if account is None:
            person = Person(organisation_id=organisation.id)
            account = await accounts.add(conn, address, given.language, person)
        group = next(name for name in grants.SUPERUSER_GROUPS if BY_NAME[name].kind is organisation.kind)
        await grants.give(conn, grants.OPERATOR, account.id, organisation.id, group)
    output({"superuser": account.address, "account_id": str(account.id), "organisation_id": str(organisation.id)})
    return 0


async def list_grants(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """List who has which rights in an organisation, and who gave them; raises `NoSuchOrganisation`."""
    async with runtime.database.transaction() as conn:
        if await organisations_store.find_organisation(conn, given.organisation) is None:
            raise NoSuchOrganisation
        found = await rights.find_grants(conn, given.organisation)
    for grant in found:
        output(
            {
                "account_id": str(grant.account_id),
                "group": grant.group,
                "granted_at": grant.granted_at.isoformat(),
                "granted_by": grant.granted_by,
            }
        )
    return 0


async def add_grant(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Give rights as the platform's operator."""
    async with runtime.database.transaction() as conn:
        membership_id = await grants.give(conn, grants.OPERATOR, given.account, given.organisation, given.group)
    output({"granted": given.group, "membership_id": str(membership_id)})
    return 0


async def remove_grant(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Take rights away as the platform's operator."""
    async with runtime.database.transaction() as conn:
        membership_id = await grants.take(conn, grants.OPERATOR, given.account, given.organisation, given.group)
    output({"taken": given.group, "membership_id": str(membership_id)})
    return 0


async def import_people(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Import people out of a file, a few hundred in each transaction; gives 1 when a line could not be read.

    Raises `UnreadableFile`, `NoSuchOrganisation` or `OrganisationClosed` before anything is done.
    """
    async with runtime.database.transaction() as conn:
        organisation = await organisations.require(conn, given.organisation)
    taking, counts = Import(organisation, given.language), Counter[Outcome]()
    with given.file.open("rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as text:
        progress = Progress(given.file.stat().st_size)
        lines = read_lines(text)
        while batch := list(itertools.islice(lines, BATCH)):
            results = await _take(runtime, taking, batch, dry_run=given.dry_run)
            counts.update(result.outcome for result in results)
            for result in results:
                _report(result)
            progress.show(raw.tell(), counts.total())
    output({"dry_run": given.dry_run, **{outcome.value: counts[outcome] for outcome in Outcome}})
    if counts[Outcome.DUPLICATE]:
        say("Duplicates wait for a superuser of the organisation to clear them up: GET /v1/import-duplicates")
    return 1 if counts[Outcome.WRONG] else 0


async def _take(
    runtime: Runtime[AuthSettings], taking: Import, batch: Sequence[Line], *, dry_run: bool
) -> Sequence[Result]:
    results: list[Result] = []
    with suppress(_OnlyTried):
        async with runtime.database.transaction() as conn:
            results = list(await taking.take_all(conn, batch))
            if dry_run:
                raise _OnlyTried
    return results


class _OnlyTried(Exception):
    """Rolls back what was done to see what would become of it."""


def _report(result: Result) -> None:
    match result.outcome:
        case Outcome.DUPLICATE:
            output({"line": result.number, "duplicate": str(result.duplicate_id), "reason": result.reason})
        case Outcome.WRONG:
            output({"line": result.number, "wrong": result.reason})


class Progress:
    """How far a file has come, on standard error: a bar on a terminal, else a line now and then."""

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._told = 0

    def show(self, read: int, rows: int) -> None:
        part = min(1.0, read / self._size)
        if sys.stderr.isatty():
            bar = "█" * round(part * 30)
            sys.stderr.write(f"\r{bar:<30} {part:4.0%} {rows:9,} lines" + ("\n" if part == 1 else ""))
            sys.stderr.flush()
        elif rows - self._told >= TELL_EVERY or part == 1:
            self._told = rows
            say(f"{part:.0%}, {rows} lines")


async def erase(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Erase one account; raises `NoSuchAccount`."""
    async with runtime.database.transaction() as conn:
        await users.erase_account(conn, given.id)
    output({"erased": str(given.id)})
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="as it is written in Brønnøysund, in quotation marks")
    parser.add_argument("--number", help="organisasjonsnummer, nine digits")
    parser.add_argument("--kind", choices=[kind.value for kind in OrganisationKind], default="customer")
    parser.add_argument("--id", type=UUID, help="an id that other systems know it by already; default a new one")


def _organisation_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--organisation", type=UUID, required=True, help="as `organisations list` shows it")


def _superuser_arguments(parser: argparse.ArgumentParser) -> None:
    _organisation_argument(parser)
    parser.add_argument("address", help="e-mail address")
    parser.add_argument("--language", choices=[str(language) for language in Language], default="nb", help="default nb")


def _grant_arguments(parser: argparse.ArgumentParser) -> None:
    _organisation_argument(parser)
    parser.add_argument("--account", type=UUID, required=True, help="as `accounts list` shows it")
    parser.add_argument(
        "group", choices=[group.name for group in BY_NAME.values() if Grantor.OPERATOR in group.granted_by]
    )


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    _organisation_argument(parser)
    parser.add_argument("file", type=Path, help="UTF-8, fields between semicolons or commas")
    parser.add_argument("--language", choices=[str(language) for language in Language], default="nb", help="default nb")
    parser.add_argument("--dry-run", action="store_true", help="only say what would become of each line")


def _id_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=UUID, help="as `accounts list` shows it")


_ABOUT_SUPERUSER = (
    "Make somebody the first superuser of an organisation, who then adds its other users. Gives them an account if they "
    "have none, and does nothing where they are a superuser already."
)
_ABOUT_IMPORT = """Import people into an organisation. The first line names the columns: user_name, address, full_name,
language (nb, nn, en), active (yes, no), groups (names of rights, spaces between). Only address is needed. Lines that cannot
be read are reported and left out. Whoever has an address or user name that somebody has already, in the file or anywhere,
gets no account: they are reported, and kept for a superuser to clear up. The same file again adds nothing."""
COMMANDS = (
    Command("accounts import", "import people out of a file", _import_arguments, import_people, _ABOUT_IMPORT),
    Command("accounts erase", "erase a person's account, and tell all who keep a copy", _id_arguments, erase),
    Command("organisations add", "add an organisation that people may act for", _add_arguments, add),
    Command("organisations list", "list all organisations", no_arguments, show),
    Command(
        "superusers add",
        "make somebody a superuser of an organisation",
        _superuser_arguments,
        add_superuser,
        _ABOUT_SUPERUSER,
    ),
    Command("grants list", "list who has which rights in an organisation", _organisation_argument, list_grants),
    Command("grants add", "give an account a group of rights in an organisation", _grant_arguments, add_grant),
    Command("grants remove", "take a group of rights from an account", _grant_arguments, remove_grant),
)
