"""A mark proves its rule when all of its tests pass, and only then; the list holds every rule once."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import proven
from tests.plugins.rules import LIST, read_rules

Proof = dict[str, dict[str, list[str]]]
Show = Callable[[str], tuple[int, str, str]]

NOTHING: Proof = {"rules": {}, "goals": {}}
ON_TWO_WORKERS = ("-p", "xdist.plugin", "-n", "2")
RULES_BY_SECTION = {
    "G": 11, "H": 31, "E": 24, "A": 9, "S": 7, "B": 2, "K": 3, "M": 5, "C": 44, "L": 20, "R": 29, "U": 54, "I": 21,
}  # fmt: skip
SERVICES = {
    "auth", "cases", "esign", "guides", "handbook", "notifications", "orders", "portal", "recruitment", "unionfees",
}  # fmt: skip

CLAIMS_TOO_MUCH = """
    @pytest.mark.{mark}
    def test_claims_too_much():
        open("ran", "w").close()
"""
PASSES_AND_FAILS = """
    @pytest.mark.rule("G1")
    def test_one():
        pass

    @pytest.mark.rule("G1")
    def test_other():
        assert False
"""
ALL_KINDS = """
    @pytest.mark.rule("G1", "G2")
    @pytest.mark.goal("rel-R1")
    @pytest.mark.parametrize("number", range(4))
    def test_passes(number):
        pass

    @pytest.mark.rule("G2")
    def test_fails():
        assert False

    @pytest.mark.rule("G5")
    class TestGroup:
        def test_passes(self):
            pass

        @pytest.mark.rule("H1")
        @pytest.mark.goal("sec-A2")
        def test_is_skipped(self):
            pytest.skip()
"""
FOUR_PASSES = [f"test_marked.py::test_passes[{number}]" for number in range(4)]
PROVEN_OF_ALL_KINDS: Proof = {"rules": {"G1": FOUR_PASSES}, "goals": {"rel-R1": FOUR_PASSES}}


class Sandbox:
    """A folder with one file of marked tests, to be run with the plugin."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        pytester.makeini(f'[pytest]\npythonpath = "{LIST.parents[1]}"')
        pytester.makeconftest('pytest_plugins = ["tests.plugins.rules"]')
        self._pytester = pytester
        self.path = pytester.path

    def run(self, source: str, *options: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_marked=f"    import os\n    import pytest\n{source}")
        return self._pytester.runpytest(*options)

    def prove(self, source: str, *options: str) -> Proof:
        """Return the report of a run."""
        self.run(source, "--proven=proven.json", *options)
        report: Proof = json.loads((self.path / "proven.json").read_text())
        return report


@pytest.fixture
def sandbox(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return Sandbox(pytester)


def test_a_passed_test_proves_the_rules_and_goals_it_names(sandbox: Sandbox) -> None:
    proof = sandbox.prove("""
    @pytest.mark.rule("G1", "C32")
    @pytest.mark.goal("ops-O4")
    def test_passes():
        pass
    """)
    name = ["test_marked.py::test_passes"]
    assert proof == {"rules": {"G1": name, "C32": name}, "goals": {"ops-O4": name}}


def test_a_mark_on_a_class_asks_every_test_of_it_to_pass(sandbox: Sandbox) -> None:
    proof = sandbox.prove("""
    @pytest.mark.rule("G1")
    class TestGroup:
        @pytest.mark.rule("G1", "G2")
        def test_one(self):
            pass

        def test_other(self):
            pass
    """)
    one, other = "test_marked.py::TestGroup::test_one", "test_marked.py::TestGroup::test_other"
    assert proof["rules"] == {"G1": [one, other], "G2": [one]}


def test_a_failed_test_proves_nothing(sandbox: Sandbox) -> None:
    proof = sandbox.prove("""
    @pytest.mark.rule("G1")
    @pytest.mark.goal("rel-R1")
    def test_fails():
        assert False
    """)
    assert proof == NOTHING


def test_a_skipped_test_proves_nothing(sandbox: Sandbox) -> None:
    proof = sandbox.prove("""
    @pytest.mark.rule("G1")
    def test_skips_itself():
        pytest.skip()

    @pytest.mark.rule("G2")
    @pytest.mark.skip
    def test_is_skipped():
        pass
    """)
    assert proof == NOTHING


@pytest.mark.parametrize("outcome", ["assert False", "pass"])
def test_a_test_expected_to_fail_proves_nothing(sandbox: Sandbox, outcome: str) -> None:
    proof = sandbox.prove(f"""
    @pytest.mark.rule("G1")
    @pytest.mark.xfail
    def test_is_expected_to_fail():
        {outcome}
    """)
    assert proof == NOTHING


@pytest.mark.parametrize("body", ["assert False; yield", "yield; assert False"], ids=["setup", "teardown"])
def test_a_test_whose_fixture_fails_proves_nothing(sandbox: Sandbox, body: str) -> None:
    proof = sandbox.prove(f"""
    @pytest.fixture
    def fixture():
        {body}

    @pytest.mark.rule("G1")
    def test_uses_the_fixture(fixture):
        pass
    """)
    assert proof == NOTHING


def test_a_test_with_a_skipped_subtest_proves_nothing(sandbox: Sandbox) -> None:
    proof = sandbox.prove("""
    @pytest.mark.rule("G1")
    def test_has_parts(subtests):
        with subtests.test("one"):
            pass
        with subtests.test("other"):
            pytest.skip()
    """)
    assert proof == NOTHING


def test_one_pass_and_one_failure_of_a_rule_prove_nothing(sandbox: Sandbox) -> None:
    assert sandbox.prove(PASSES_AND_FAILS) == NOTHING


@pytest.mark.parametrize("option", ["-k=test_one", "--deselect=test_marked.py::test_other", "--maxfail=1"])
def test_a_rule_with_a_test_that_was_left_out_is_not_proven(sandbox: Sandbox, option: str) -> None:
    proof = sandbox.prove(
        """
    @pytest.mark.rule("G1")
    def test_one():
        pass

    def test_between():
        assert False

    @pytest.mark.rule("G1")
    def test_other():
        pass
    """,
        option,
    )
    assert proof == NOTHING


def test_a_test_in_which_the_run_is_stopped_proves_nothing(sandbox: Sandbox) -> None:
    proof = sandbox.prove("""
    @pytest.mark.rule("G1")
    def test_stops_the_run():
        pytest.exit("stopped")
    """)
    assert proof == NOTHING


def test_two_workers_prove_what_one_process_proves(sandbox: Sandbox) -> None:
    assert sandbox.prove(ALL_KINDS) == PROVEN_OF_ALL_KINDS
    assert sandbox.prove(ALL_KINDS, *ON_TWO_WORKERS) == PROVEN_OF_ALL_KINDS


def test_workers_leave_the_report_to_their_controller(sandbox: Sandbox) -> None:
    result = sandbox.run(
        """
    def test_looks_for_the_ledger(pytestconfig):
        plugins = [type(plugin).__name__ for plugin in pytestconfig.pluginmanager.get_plugins()]
        assert "Ledger" not in plugins
    """,
        "--proven=proven.json",
        *ON_TWO_WORKERS,
    )
    result.assert_outcomes(passed=1)


def test_a_rule_whose_test_kills_its_worker_is_not_proven(sandbox: Sandbox) -> None:
    proof = sandbox.prove(
        """
    @pytest.mark.rule("G1")
    def test_passes():
        pass

    @pytest.mark.rule("G1")
    def test_dies():
        os._exit(1)

    @pytest.mark.rule("G2")
    def test_stands_apart():
        pass
    """,
        *ON_TWO_WORKERS,
    )
    assert proof["rules"] == {"G2": ["test_marked.py::test_stands_apart"]}


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ('rule("G99")', "'G99'"),
        ('rule("G1", "g2")', "'g2'"),
        ('goal("rel-X1")', "'rel-X1'"),
        ('goal("sec-A1b")', "'sec-A1b'"),
        ("rule()", "'rule'"),
        ('goal("rel-R1", reason="")', "'goal'"),
    ],
)
def test_a_mark_that_names_nothing_is_refused(sandbox: Sandbox, mark: str, complaint: str) -> None:
    result = sandbox.run(CLAIMS_TOO_MUCH.format(mark=mark))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(f"ERROR: test_marked.py::test_claims_too_much: *{complaint}*")
    assert not (sandbox.path / "ran").exists()


def test_every_refused_test_is_named(sandbox: Sandbox) -> None:
    result = sandbox.run("""
    @pytest.mark.rule("G99")
    @pytest.mark.parametrize("number", [1, 2])
    def test_claims(number):
        pass
    """)
    names = [line.split()[1] for line in result.errlines if line]
    assert names == ["test_marked.py::test_claims[1]:", "test_marked.py::test_claims[2]:"]


def test_what_a_worker_refuses_ends_the_run_with_the_same_words(sandbox: Sandbox) -> None:
    result = sandbox.run(CLAIMS_TOO_MUCH.format(mark='rule("G99")'), *ON_TWO_WORKERS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("ERROR: test_marked.py::test_claims_too_much: *'G99'*")
    assert not (sandbox.path / "ran").exists()


def test_without_the_option_nothing_is_written(sandbox: Sandbox) -> None:
    result = sandbox.run(PASSES_AND_FAILS, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    written = {path.name for path in sandbox.path.iterdir()} - {"__pycache__"}
    assert written == {"tox.ini", "conftest.py", "test_marked.py"}


def test_an_older_report_is_gone_before_the_first_test(sandbox: Sandbox) -> None:
    (sandbox.path / "proven.json").write_text('{"rules": {"G1": ["test_of_yesterday"]}, "goals": {}}')
    result = sandbox.run(
        """
    def test_looks_for_it():
        assert not os.path.exists("proven.json")
    """,
        "--proven=proven.json",
    )
    result.assert_outcomes(passed=1)


def test_a_report_that_cannot_be_written_is_refused_before_the_first_test(sandbox: Sandbox) -> None:
    result = sandbox.run(PASSES_AND_FAILS, "--proven=.")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "cannot write" in result.stderr.str()


def test_the_list_holds_each_of_the_260_rules_once() -> None:
    expected = [f"{letter}{number}" for letter, last in RULES_BY_SECTION.items() for number in range(1, last + 1)]
    assert [rule.id for rule in read_rules()] == expected
    assert len(expected) == 260


def test_every_row_of_the_list_is_understood() -> None:
    rows = [line for line in LIST.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    heads = Counter(row for row in rows if row in {"| Rule | Service | What it asks |", "|---|---|---|"})
    assert set(heads.values()) == {len(RULES_BY_SECTION)}
    assert len(rows) - heads.total() == len(read_rules())


def test_every_rule_is_owned_by_a_service_that_exists() -> None:
    assert {rule.service for rule in read_rules()} == SERVICES


def test_every_rule_stands_in_the_section_of_its_letter() -> None:
    assert [rule for rule in read_rules() if not rule.section.startswith(f"{rule.id[0]} · ")] == []


@pytest.fixture
def show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Show:
    """Print a report with the given text; return the exit code, the output and the errors."""

    def show(text: str) -> tuple[int, str, str]:
        report = tmp_path / "proven.json"
        report.write_text(text)
        code = proven.main([str(report)])
        return code, *capsys.readouterr()

    return show


def test_the_last_line_counts_the_proven_rules(show: Show) -> None:
    code, output, errors = show('{"rules": {"G1": ["t.py::test_a"], "I21": ["t.py::test_a", "t.py::b"]}, "goals": {}}')
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == "proven: 2 of 260"


def test_a_report_of_nothing_counts_nothing(show: Show) -> None:
    _, output, _ = show(json.dumps(NOTHING))
    assert output.splitlines()[0] == "Not yet proven"
    assert output.splitlines()[-1] == "proven: 0 of 260"


def test_the_proven_stand_by_section_with_their_tests_and_the_rest_by_service(show: Show) -> None:
    _, output, _ = show(
        """{
        "rules": {"K1": ["t.py::test_c"], "G10": ["t.py::test_a", "t.py::test_b"], "G1": ["t.py::test_a"]},
        "goals": {"sec-A10": ["t.py::test_e"], "sec-A2": ["t.py::test_d"]}
        }"""
    )
    lines = [line.split() for line in output.splitlines()]
    assert lines[: lines.index(["Not", "yet", "proven"])] == [
        ["G", "·", "One-time", "codes,", "support,", "purchase"],
        ["G1", "t.py::test_a"],
        ["G10", "t.py::test_a"],
        ["t.py::test_b"],
        [],
        ["K", "·", "Customer", "service"],
        ["K1", "t.py::test_c"],
        [],
        ["Goals"],
        ["sec-A2", "t.py::test_d"],
        ["sec-A10", "t.py::test_e"],
        [],
    ]
    assert ["orders", "6", "G11", "H27", "E11", "E12", "A7", "A8"] in lines


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Invalid JSON"),
        ("[]", "the file: "),
        ('{"rules": {}}', "goals: "),
        ('{"rules": {"G1": "t.py::test_a"}, "goals": {}}', "rules.G1: "),
        ('{"rules": {"G99": ["t.py::test_a"]}, "goals": {}}', "G99"),
    ],
)
def test_a_broken_report_is_refused_with_its_fault(show: Show, text: str, complaint: str) -> None:
    code, output, errors = show(text)
    assert (code, output) == (2, "")
    assert complaint in errors
    assert "proven.json" in errors


def test_a_missing_report_is_refused_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert proven.main([str(tmp_path / "nowhere.json")]) == 2
    assert "nowhere.json: No such file or directory" in capsys.readouterr().err
