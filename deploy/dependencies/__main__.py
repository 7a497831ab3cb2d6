"""Write or check the list of dependencies: `python -m deploy.dependencies write|check|sbom`.

Ends with 1 when a licence is not allowed, a package says none, or the page is not true.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from deploy.dependencies import packages, page, sbom
from deploy.local.folders import CHECKOUT

PAGE = CHECKOUT / "docs" / "dependencies.md"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.dependencies", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    actions.add_parser("write", help=f"write {PAGE.relative_to(CHECKOUT)}")
    actions.add_parser("check", help="check the licences, and that the page is true")
    bom = actions.add_parser("sbom", help="write a CycloneDX 1.6 document")
    bom.add_argument("--output", type=Path, metavar="PATH", help="default: standard output")
    given = parser.parse_args(arguments)
    try:
        found = packages.read()
        return {"write": _write, "check": _check, "sbom": _sbom}[given.action](found, given)
    except packages.Unfit as unfit:
        print(f"error: {unfit}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def _write(found: Sequence[packages.Package], _: argparse.Namespace) -> int:
    PAGE.write_text(page.write(found), encoding="utf-8")
    return 0


def _check(found: Sequence[packages.Package], _: argparse.Namespace) -> int:
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page.write(found):
        raise packages.Unfit(f"{PAGE.relative_to(CHECKOUT)} does not say what is pinned: run `make lock`")
    return 0


def _sbom(found: Sequence[packages.Package], given: argparse.Namespace) -> int:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = sbom.write(found, project)
    if given.output is None:
        sys.stdout.write(text)
    else:
        given.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
