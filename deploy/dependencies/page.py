"""Page: the dependencies for a reader, as `docs/dependencies.md`."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.dependencies.packages import Package

TITLE = """\
# Dependencies

Every package that is pinned, with the licence that its own metadata names. `make lock` writes this page, and `make lint`
refuses one that is not true or a licence that `deploy/dependencies/licences.toml` does not allow. Hashes stand in
`requirements.lock`; `make sbom` writes all of it as CycloneDX. Why each is there: `docs/decisions/0001-dependencies.md`.
"""


def write(packages: Sequence[Package]) -> str:
    """Give the page's text."""
    shipped = [package for package in packages if package.shipped]
    tools = [package for package in packages if not package.shipped]
    return "\n".join([TITLE, *_table("In the image", shipped), "", *_table("For tests and tools alone", tools), ""])


def _table(title: str, packages: Sequence[Package]) -> list[str]:
    rows = [f"| {each.pinned.name} | {each.pinned.version} | {each.licence} |" for each in packages]
    return [f"## {title} ({len(rows)})", "", "| Package | Version | Licence |", "|---|---|---|", *rows]
