import os

import pytest

from bench import usage
from bench.__main__ import parser, plan_of


def test_parts_run_in_their_own_order_whatever_was_typed() -> None:
    assert parser().parse_args(["--only", "pipeline,services"]).only == ["services", "pipeline"]


@pytest.mark.parametrize("arguments", [["--only", "pipelines"], ["--repeats", "0"], ["--clients", "-1"]])
def test_what_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parser().parse_args(arguments)
    assert refused.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_a_full_run_repeats_what_it_compares_and_a_quick_one_does_not() -> None:
    assert plan_of(parser().parse_args([]), print).repeats >= 3
    assert plan_of(parser().parse_args(["--quick"]), print).repeats == 1
    assert plan_of(parser().parse_args(["--no-fsync"]), print).fsync is False


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert "exit code:" in shown


def test_usage_of_this_very_process_is_counted() -> None:
    before = usage.cpu_seconds(os.getpid())
    sum(n * n for n in range(1_000_000))
    assert usage.cpu_seconds(os.getpid()) > before
    assert 10 < usage.resident_mib(os.getpid()) < 10_000
