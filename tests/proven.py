"""Print what a run of the tests proved, and what is still to be proven: `python -m tests.proven PATH`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from pydantic import BaseModel, ConfigDict, ValidationError

from tests.plugins.rules import Rule, read_rules

EXIT_UNREADABLE = 2


class Report(BaseModel):
    """What a run with `--proven=PATH` left there: the names of the tests by rule and by goal."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rules: dict[str, list[str]]
    goals: dict[str, list[str]]


class UnreadableReport(Exception):
    """There is no report of a run to read, or it does not fit the list of rules."""


def main(arguments: Sequence[str]) -> int:
    """Print the report at the given path; return 0, or 2 where there is none that can be read."""
    parser = argparse.ArgumentParser(prog="python -m tests.proven", description="Print what a run of the tests proved.")
    parser.add_argument("path", type=Path, metavar="PATH", help="the report that pytest wrote with --proven=PATH")
    rules = read_rules()
    try:
        report = read_report(parser.parse_args(arguments).path, rules)
    except UnreadableReport as problem:
        sys.stderr.write(f"{problem}\nRun the tests with --proven=PATH to write the report.\n")
        return EXIT_UNREADABLE
    sys.stdout.writelines(f"{line}\n" for line in describe(rules, report))
    return 0


def read_report(path: Path, rules: list[Rule]) -> Report:
    """Return the report at `path`, or raise `UnreadableReport` with words that name the file and the fault."""
    try:
        report = Report.model_validate_json(path.read_bytes())
    except OSError as problem:
        message = f"cannot read {path}: {problem.strerror}"
        raise UnreadableReport(message) from problem
    except ValidationError as problem:
        fault = problem.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        message = f"{path} is not a report of proven rules: {where}: {fault['msg']}"
        raise UnreadableReport(message) from problem
    if strangers := report.rules.keys() - {rule.id for rule in rules}:
        message = f"{path} names rules that docs/rules.md does not list: {', '.join(sorted(strangers))}"
        raise UnreadableReport(message)
    return report


def describe(rules: list[Rule], report: Report) -> Iterator[str]:
    """Yield the printed lines: the proven by section, the goals, the rest by service, and the count last."""
    proven = [rule for rule in rules if report.rules.get(rule.id)]
    for section, members in groupby(proven, key=lambda rule: rule.section):
        yield section
        for rule in members:
            yield from name_tests(rule.id, report.rules[rule.id])
        yield ""
    if report.goals:
        yield "Goals"
        for goal in sorted(report.goals, key=count_naturally):
            yield from name_tests(goal, report.goals[goal])
        yield ""
    if owed := [rule for rule in rules if rule not in proven]:
        yield "Not yet proven"
        yield from list_by_service(owed)
        yield ""
    yield f"proven: {len(proven)} of {len(rules)}"


def name_tests(proven: str, tests: list[str]) -> Iterator[str]:
    """Yield a line for each test, the first one led by what it proves."""
    for place, test in enumerate(tests):
        yield f"  {'' if place else proven:<7} {test}"


def list_by_service(rules: list[Rule]) -> Iterator[str]:
    """Yield for each service how many of the rules are its own, and which."""
    for service in sorted({rule.service for rule in rules}):
        ids = [rule.id for rule in rules if rule.service == service]
        lead = f"  {service:<13} {len(ids):>3}  "
        yield from wrap(" ".join(ids), width=100, initial_indent=lead, subsequent_indent=" " * len(lead))


def count_naturally(goal: str) -> tuple[str, int]:
    """Return a sorting key that puts `sec-A2` before `sec-A10`."""
    family = goal.rstrip("0123456789")
    return family, int(goal.removeprefix(family) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
