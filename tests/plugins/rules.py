"""Marks that name what a test proves, and a report of what a run proved.

`@pytest.mark.rule("G1", ...)` names rules of `docs/rules.md`, `@pytest.mark.goal("rel-R1", ...)` goals.
One is proven when every collected test that carries its mark passed: setup, call and teardown.
A failure, a skip, an expected failure, a crash, or a test deselected or never reached leaves it unproven.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

LIST = Path(__file__).parents[2] / "docs" / "rules.md"
HEADING = re.compile(r"## (?P<section>.+)")
ROW = re.compile(r"\| (?P<id>[A-Z][0-9]+) \| (?P<service>[a-z]+) \| .+ \|")
GOAL = re.compile(r"(rel-R|sec-A|sec-P|sec-F|sec-S|ops-O)[0-9]+")
KINDS = ("rule", "goal")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list."""

    id: str
    service: str
    section: str


def read_rules() -> list[Rule]:
    """Return the rules in the order in which `docs/rules.md` lists them."""
    rules, section = [], ""
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if heading := HEADING.fullmatch(line):
            section = heading["section"]
        elif row := ROW.fullmatch(line):
            rules.append(Rule(row["id"], row["service"], section))
    return rules


class Ledger:
    """Hears every report of a run and leaves what was proven at `path` when the run ends.

    An older report is removed before the first test, so that a run that dies leaves none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._finished: set[str] = set()
        self._spoiled: set[str] = set()
        self._heard: defaultdict[str, set[str]] = defaultdict(set)
        self._carriers: dict[str, int] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
        except OSError as problem:
            message = f"--proven: cannot write {self._path}: {problem.strerror}"
            raise pytest.UsageError(message) from problem

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed or hasattr(report, "wasxfail"):
            self._spoiled.add(report.nodeid)
        elif report.when == "teardown":
            self._finished.add(report.nodeid)
        for mark, carriers in report.user_properties:
            if mark.partition(":")[0] in KINDS and isinstance(carriers, int):
                self._heard[mark].add(report.nodeid)
                self._carriers[mark] = carriers

    def pytest_sessionfinish(self) -> None:
        report = {f"{kind}s": self._proven(kind) for kind in KINDS}
        self._path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

    def _proven(self, kind: str) -> dict[str, list[str]]:
        passed = self._finished - self._spoiled
        return {
            mark.removeprefix(f"{kind}:"): sorted(tests)
            for mark, tests in sorted(self._heard.items())
            if mark.startswith(f"{kind}:") and len(tests & passed) == self._carriers[mark]
        }


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proven", metavar="PATH", help="write the rules and goals that this run proves to PATH, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rule(id, ...): the rules of docs/rules.md that the test proves")
    config.addinivalue_line("markers", "goal(id, ...): the goals, such as rel-R1 or sec-A2, that the test proves")
    path = config.getoption("--proven")
    is_worker = hasattr(config, "workerinput")
    if path and not is_worker:
        config.pluginmanager.register(Ledger(config.invocation_params.dir / path))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test's marks to its reports, before anything is deselected; refuse marks that name nothing."""
    rules = {rule.id for rule in read_rules()}
    refusals = [refusal for item in items for refusal in refuse(item, rules)]
    if refusals:
        # pytest-xdist takes a worker that raises for one that crashed: there the controller has to raise.
        if not hasattr(config, "workeroutput"):
            raise pytest.UsageError(*refusals)
        config.workeroutput["refused_marks"] = refusals
        items.clear()
    carriers = Counter(mark for item in items for mark in marks_of(item))
    for item in items:
        item.user_properties.extend((mark, carriers[mark]) for mark in sorted(marks_of(item)))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Raise in pytest-xdist's controller what a worker refused."""
    if refusals := getattr(node, "workeroutput", {}).get("refused_marks"):
        raise pytest.UsageError(*refusals)


def refuse(item: pytest.Item, rules: set[str]) -> Iterator[str]:
    """Say what is wrong with the marks of a test, naming the test."""
    for mark in item.iter_markers():
        if mark.name in KINDS and (mark.kwargs or not mark.args):
            yield f"{item.nodeid}: the mark {mark.name!r} takes one id or more, and nothing else"
        for name in map(str, mark.args):
            if mark.name == "rule" and name not in rules:
                yield f"{item.nodeid}: there is no rule {name!r} in docs/rules.md"
            if mark.name == "goal" and not GOAL.fullmatch(name):
                yield f"{item.nodeid}: {name!r} is not the id of a goal, such as rel-R1 or sec-A2"


def marks_of(item: pytest.Item) -> set[str]:
    """Return what a test claims to prove, as `rule:G1` and `goal:rel-R1`, each once."""
    return {f"{kind}:{name}" for kind in KINDS for mark in item.iter_markers(kind) for name in mark.args}
