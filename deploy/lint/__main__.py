"""Check the rules of this house: `python -m deploy.lint [PATH …]`, by default all that is no test.

Prints a line for each finding and ends with 1 when there is any, with 2 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from deploy.lint import acknowledging, failures, saying, statements, times
from deploy.lint.findings import look
from deploy.local.folders import CHECKOUT

RULES = (statements.RULE, times.RULE, failures.RULE, acknowledging.RULE, saying.RULE)
FOLDERS = ("bench", "chassis", "contracts", "deploy", "services")
FOUND, UNREADABLE = 1, 2


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.lint", description=__doc__, epilog=_epilog())
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders")
    given = parser.parse_args(arguments)
    codes = {_check(file) for file in _files(given.paths or [CHECKOUT / folder for folder in FOLDERS])}
    return max(codes, default=0)


def _check(file: Path) -> int:
    """Print what is found in a file; gives the exit code."""
    try:
        found = look(file.read_text(encoding="utf-8"), RULES)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        print(f"error: {file} cannot be read: {error}", file=sys.stderr)
        return UNREADABLE
    for finding in found:
        print(f"{_shown(file)}:{finding.line}:{finding.column} {finding.rule}: {finding.text}")
    return FOUND if found else 0


def _epilog() -> str:
    return "Rules: " + "; ".join(f"{rule.name} ({rule.why})" for rule in RULES) + "."


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _shown(file: Path) -> Path:
    return file.relative_to(CHECKOUT) if file.is_relative_to(CHECKOUT) else file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
