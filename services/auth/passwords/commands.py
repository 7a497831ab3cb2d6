"""Operators' commands about blocks."""

import argparse
from uuid import UUID

from chassis.commands.command import EX_DONE, EX_REFUSED, Command, count, output, say
from chassis.service import Runtime
from services.auth.passwords import blocks, store
from services.auth.settings import AuthSettings

LONGEST_REASON = 200


async def show(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """List the accounts that are blocked just now."""
    async with runtime.database.transaction() as conn:
        found = await store.find_blocks(conn, given.limit)
    for block in found:
        output({"account_id": str(block.account_id), "blocked_until": block.until.isoformat()})
    return EX_DONE


async def lift(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Lift an account's blocks; gives 1 where none was in force."""
    async with runtime.database.transaction() as conn:
        lifted = await blocks.lift(conn, given.account, reason=given.reason)
    output({"account_id": str(given.account), "lifted": lifted})
    if lifted:
        return EX_DONE
    say("No block of this account was in force; wrong passwords before it are forgotten all the same.")
    return EX_REFUSED


def _reason(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_REASON or not text.isprintable():
        raise argparse.ArgumentTypeError(f"say why, in one line of at most {LONGEST_REASON} characters")
    return text.strip()


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=count, default=100, help="default 100; those first whose block ends first")


def _lift_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("account", type=UUID, help="as `blocks list` shows it")
    parser.add_argument("--reason", type=_reason, required=True, help="goes into the log; name nobody in it")


COMMANDS = (
    Command("blocks list", "list accounts that are blocked after wrong passwords in a row", _list_arguments, show),
    Command(
        "blocks lift",
        "let a blocked person try again at once",
        _lift_arguments,
        lift,
        about="A block ends by itself after BLOCK_MINUTES, and never holds on a device that the account knows unless the "
        "wrong passwords came from there. Lift one only for somebody whose identity you have made sure of.",
    ),
)
