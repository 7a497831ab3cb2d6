"""Operators' commands about people."""

import argparse
import sys
from collections.abc import Iterable

from chassis.commands.command import Command, count, output
from chassis.errors import Refusal
from chassis.service import Runtime
from chassis.texts import Language
from services.auth.people import accounts, store
from services.auth.people.addresses import normalise
from services.auth.settings import AuthSettings


async def add(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Add accounts, each in a transaction of its own; gives 1 when one was refused."""
    refused = 0
    for typed in _typed(given.addresses):
        try:
            address = normalise(typed)
            async with runtime.database.transaction() as conn:
                account = await accounts.add(conn, address, given.language)
        except Refusal as refusal:
            refused += 1
            output({"refused": typed, "reason": (type(refusal).__doc__ or "").splitlines()[0]})
        else:
            output({"added": account.address, "account_id": str(account.id), "language": account.language})
    return 1 if refused else 0


async def show(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """List accounts by address."""
    async with runtime.database.transaction() as conn:
        page = await store.find_accounts(conn, after=given.after, limit=given.limit)
    for account in page:
        output(
            {
                "account_id": str(account.id),
                "address": account.address,
                "language": account.language,
                "active": account.active,
                "version": account.version,
            }
        )
    if len(page) == given.limit:
        print(f"There may be more: accounts list --after {page[-1].address}", file=sys.stderr)
    return 0


def _typed(addresses: list[str]) -> Iterable[str]:
    return (line.strip() for line in sys.stdin if line.strip()) if addresses == ["-"] else addresses


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "addresses", nargs="+", help="e-mail addresses, or - to read them from standard input, one a line"
    )
    parser.add_argument("--language", choices=[str(language) for language in Language], default="nb", help="default nb")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--after", default="", help="begin behind this address")
    parser.add_argument("--limit", type=count, default=100, help="default 100")


COMMANDS = (
    Command("accounts add", "add people who may log in", _add_arguments, add),
    Command("accounts list", "list who may log in", _list_arguments, show),
)
