"""Witness: a pytest plugin that notes how each test ended, and tells an assertion from any other failure.

`python -m pytest -p tests.mutants.witness --witness=PATH …` leaves a JSON list of `Seen` there.
"""

import json
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.mutants.verdict import Seen

SEEN: list[Seen] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--witness", type=Path, required=True, help="where to leave how each test ended")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and not report.skipped:
        asserted = report.when == "call" and _is_assertion(call.excinfo.value)
        SEEN.append(Seen(item.nodeid, "assertion" if asserted else "crash", call.excinfo.exconly()[:200]))
    elif report.when == "call" and report.passed:
        SEEN.append(Seen(item.nodeid, "passed"))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path = session.config.getoption("--witness")
    path.write_text(json.dumps([asdict(seen) for seen in SEEN]), encoding="utf-8")


def _is_assertion(error: BaseException) -> bool:
    """Tell whether a test's own word failed: a bare assert, or a `raises` that found nothing; a hang is no word."""
    if isinstance(error, pytest.fail.Exception):
        return str(error).startswith("DID NOT RAISE")
    return isinstance(error, AssertionError)
