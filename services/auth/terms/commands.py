"""Operators' commands about terms."""

import argparse
from dataclasses import asdict
from pathlib import Path

from chassis.commands.command import Command, no_arguments, output, say
from chassis.service import Runtime
from chassis.texts import Language
from services.auth.settings import AuthSettings
from services.auth.terms import store, terms
from services.auth.terms.errors import UnreadableTerms


async def publish(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Publish one text; raises what `terms.publish` raises."""
    try:
        file = given.file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UnreadableTerms from None
    except OSError as error:
        say(f"refused: {given.file} cannot be read: {error.strerror}")
        return 1
    async with runtime.database.transaction() as conn:
        added = await terms.publish(
            conn,
            given.name,
            given.version,
            language=Language(given.language),
            file=file,
            union=runtime.settings.union_name,
            asks_again=given.asks_again,
        )
    output({"terms": given.name, "version": given.version, "language": given.language, "added": added})
    return 0


async def show(runtime: Runtime[AuthSettings], _: argparse.Namespace) -> int:
    """List what was published, and the terms that wait for a text."""
    async with runtime.database.transaction() as conn:
        found = await store.find_published(conn)
    for each in found:
        output(asdict(each))
    for name in sorted(terms.NAMES - {each.name for each in found}):
        say(f"{name} has no text yet: what it comes before is closed to everybody until one is published")
    return 0


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, choices=sorted(terms.NAMES), help="as contracts/rights.py names it")
    parser.add_argument("--version", required=True, help="what the version is called, e.g. 2026-01")
    parser.add_argument("--language", required=True, choices=terms.LANGUAGES)
    parser.add_argument(
        "--asks-again", action="store_true", help="whoever accepted an earlier version must accept this"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the text, in UTF-8")


COMMANDS = (
    Command(
        "terms publish",
        "publish a text that people must accept",
        _publish_arguments,
        publish,
        "The file is the text, in UTF-8; its last line is `[ ] ` and the sentence that stands beside the tick. `{union}` "
        "becomes SAMBAND_UNION_NAME. From then on this version is in force. Those who accepted an earlier one are asked "
        "again only with --asks-again. A published text never changes; the same text again does nothing. Give each further "
        "language of a version with the same --version.",
    ),
    Command("terms list", "list the texts that were published, and which are in force", no_arguments, show),
)
