"""The files whose tests may take longest are run first, also by workers; a file's own tests keep their order."""

import pytest

from tests.plugins.rules import LIST

LONG = "@pytest.mark.timeout({})\ndef test_{}():\n    pass\n"
SHORT = "def test_{}():\n    pass\n"
SOURCES = {
    "test_a_few": SHORT.format("z") + SHORT.format("a"),
    "test_b_many": "".join(SHORT.format(name) for name in "zya"),
    "test_c_long": LONG.format(90, "z") + LONG.format(90, "a"),
    "test_d_longest": LONG.format(200, "z") + SHORT.format("a"),
}
WANTED = ["d_longest", "d_longest", "c_long", "c_long", "b_many", "b_many", "b_many", "a_few", "a_few"]


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder whose files come in the wrong order by name."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini(f'[pytest]\npythonpath = "{LIST.parents[1]}"\nmarkers = timeout')
    pytester.makeconftest('pytest_plugins = ["tests.plugins.longest_first"]')
    pytester.makepyfile(**{name: f"import pytest\n{source}" for name, source in SOURCES.items()})
    return pytester


def test_the_longest_files_come_first_and_a_files_tests_stay_in_order(folder: pytest.Pytester) -> None:
    collected = folder.runpytest("--collect-only", "-q").outlines[: len(WANTED)]
    assert [line.partition(".")[0].removeprefix("test_") for line in collected] == WANTED
    assert [line[-1] for line in collected] == [*"za", *"za", *"zya", *"za"]


def test_workers_take_the_longest_files_first(folder: pytest.Pytester) -> None:
    how = ("-v", "-p", "xdist.plugin", "-n", "1", "--dist", "loadfile", "--no-loadscope-reorder")
    done = [line for line in folder.runpytest(*how).outlines if " PASSED " in line]
    assert [line.split()[-1].partition(".")[0].removeprefix("test_") for line in done] == WANTED
