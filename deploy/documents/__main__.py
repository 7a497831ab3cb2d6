"""Commands: write what others are told, check that it is true, make it the last release, list the topics."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from contracts import topics
from contracts.message import UndeclaredPrivacy
from deploy.documents import files, system
from deploy.documents.examples import NotReadable
from deploy.documents.system import System


def write(found: System) -> int:
    """Write schemas, AsyncAPI and OpenAPI documents and docs/messages.md, and name those that changed."""
    for path in files.write(files.made(found)):
        print(path)
    return 0


def check(found: System) -> int:
    """Say what is stale, what breaks readers of the last release, and what has no example; 1 where anything is."""
    return _refuse(files.complaints(found))


def release(found: System) -> int:
    """Make the present schemas those that later ones are compared with; refused while `check` has a complaint."""
    if refused := _refuse(files.complaints(found)):
        return refused
    for path in files.release(found):
        print(path)
    return 0


def list_topics(found: System) -> int:
    """Print each topic as an operator makes it, one JSON object a line, with who writes and who reads it."""
    for topic in sorted(topics.ALL, key=lambda topic: topic.name):
        print(
            json.dumps(
                {
                    "name": topic.name,
                    "owner": topic.owner,
                    "partitions": topic.partitions,
                    "config": topic.config(),
                    "holds_secrets": topic.holds_secrets,
                    "writers": found.writers_of(topic),
                    "readers": found.readers_of(topic),
                    "groups": found.groups_of(topic),
                }
            )
        )
    return 0


COMMANDS: dict[str, Callable[[System], int]] = {
    "write": write,
    "check": check,
    "release": release,
    "topics": list_topics,
}


def main() -> int:
    """Run one command; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.documents", description=__doc__)
    actions = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        actions.add_parser(name, help=command.__doc__, description=command.__doc__)
    command = COMMANDS[parser.parse_args().command]
    try:
        return command(system.found())
    except (UndeclaredPrivacy, NotReadable) as wrong:
        return _refuse([str(wrong)])


def _refuse(complaints: list[str]) -> int:
    for complaint in complaints:
        print(f"error: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
