"""Report: the figures as a table, as JSON, and between the markers of a page."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crew import Figures
from bench.figures import PARTS, Row, nested, rows
from bench.plan import Plan

HEAD = ("what", "value", "target", "")
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
SECTION = "### "


class NoMarkers(Exception):
    """The page has no place for the table."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found; `failures` are the parts that could not be measured."""

    plan: Plan
    quick: bool
    figures: Figures
    failures: Sequence[str]
    others: float = 0.0
    """The share of the cores that others took meanwhile."""

    @property
    def rows(self) -> list[Row]:
        return rows(self.figures)

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.rows if row.verdict == "MISSED"]

    def conditions(self) -> str:
        """Say in a line what the figures depend on."""
        plan = self.plan
        return (
            f"{machine()}; fsync {'on' if plan.fsync else 'OFF'} for every row, {plan.clients} clients, "
            f"medians of {plan.repeats} interleaved round{'s' if plan.repeats > 1 else ''} of {plan.seconds:g} s"
            + (f"; others took {self.others:.0%} of the cores" if self.others else "")
            + ("; quick: the figures say little" if self.quick else "")
        )

    def text(self) -> str:
        """Write the table for a terminal."""
        cells = [HEAD, *(row.cells() for row in self.rows)]
        widths = [max(len(row[n]) for row in cells) for n in range(4)]
        lines = [
            f"{what:<{widths[0]}}  {value:>{widths[1]}}  {target:<{widths[2]}}  {verdict}".rstrip()
            for what, value, target, verdict in cells
        ]
        return "\n".join([self.conditions(), "", *lines])

    def sections(self) -> dict[str, str]:
        """Write the table of each part that was measured for a page, below what its figures depend on."""
        head = [f"| {' | '.join(cells)} |" for cells in (HEAD, ("---", "---:", "---", "---"))]
        tables = {part: rows(self.figures, figures) for part, figures in PARTS.items()}
        return {
            part: "\n".join([f"{self.conditions()}.", "", *head, *(f"| {' | '.join(row.cells())} |" for row in table)])
            for part, table in tables.items()
            if table
        }

    def as_dict(self) -> dict[str, Any]:
        targets = {row.figure.key: row.verdict for row in self.rows if row.figure.target}
        return {
            "conditions": {
                "machine": machine(),
                "fsync": self.plan.fsync,
                "clients": self.plan.clients,
                "repeats": self.plan.repeats,
                "seconds": self.plan.seconds,
                "quick": self.quick,
                "share_of_cores_taken_by_others": round(self.others, 3),
            },
            **nested(self.figures),
            "targets": targets,
            "failures": list(self.failures),
        }

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> str:
    """Say what kind of machine this is."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} core{'s' if cores > 1 else ''}, {platform.system()} {platform.machine()}"


def put_between_markers(page: Path, sections: Mapping[str, str]) -> None:
    """Replace these sections between the page's markers and leave the others of an earlier run; raises `NoMarkers`."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not (begin and end):
        raise NoMarkers(f"{page} has no {BEGIN} … {END}")
    there = dict(part.partition("\n")[::2] for part in old.split(SECTION)[1:])
    found = {part: text.strip() for part, text in {**there, **sections}.items()}
    order = [*PARTS, *found.keys() - PARTS.keys()]
    text = "\n\n".join(f"{SECTION}{part}\n\n{found[part]}" for part in order if part in found)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
