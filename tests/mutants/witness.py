"""Witness: a pytest plugin that notes how each test ended, and tells a test's own word from any other failure.

`python -m pytest -p tests.mutants.witness --witness=PATH …` leaves a JSON list of `Seen` there.
"""

import json
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.mutants.verdict import Seen
from tests.support.waiting import InVain

SEEN: list[Seen] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--witness", type=Path, required=True, help="where to leave how each test ended")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and not report.skipped:
        asserted = report.when == "call" and _is_own_word(item, call.excinfo)
        SEEN.append(Seen(item.nodeid, "assertion" if asserted else "crash", call.excinfo.exconly()[:200]))
    elif report.when == "call" and report.passed:
        SEEN.append(Seen(item.nodeid, "passed"))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path = session.config.getoption("--witness")
    path.write_text(json.dumps([asdict(seen) for seen in SEEN]), encoding="utf-8")


def _is_own_word(item: pytest.Item, failure: pytest.ExceptionInfo[BaseException]) -> bool:
    """Tell whether the test's own word failed: a bare assert in its file, or a `raises` there that found nothing.

    A wait in vain is none: a program that is merely broken brings nothing either. Nor is an assert of the product, or of
    a helper, which says nothing of what this test is about.
    """
    if isinstance(failure.value, InVain):
        return False
    if isinstance(failure.value, pytest.fail.Exception) and not str(failure.value).startswith("DID NOT RAISE"):
        return False
    is_assertion = isinstance(failure.value, AssertionError | pytest.fail.Exception)
    return is_assertion and failure.traceback.filter(failure)[-1].path == item.path
