import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import figures, tokens
from bench.figures import ALL, TRACING, at_least, at_most
from bench.plan import quick
from bench.report import BEGIN, END, NoMarkers, Report, put_between_markers
from bench.tracing import with_ratios

PLAN = quick(clients=2, fsync=True, tell=print)


def report(**values: float) -> Report:
    return Report(
        PLAN, quick=True, figures={key.replace("__", "."): value for key, value in values.items()}, failures=[]
    )


@pytest.mark.parametrize(
    ("target", "met", "missed"), [(at_least(0.5), (0.5, 0.6), 0.499), (at_most(3), (3.0, -1.0), 3.01)]
)
def test_a_target_is_met_up_to_its_limit(target: figures.Target, met: tuple[float, ...], missed: float) -> None:
    assert all(target.met(value) for value in met)
    assert not target.met(missed)


def test_every_target_of_the_architecture_is_in_the_table() -> None:
    assert sum(figure.target is not None for figure in ALL) == 16
    assert len({figure.key for figure in ALL}) == len(ALL)


def test_the_table_says_what_was_missed_and_leaves_out_what_was_not_measured() -> None:
    found = report(ratio_to_pgbench=0.4, at_200__commit_to_inbox_p50_ms=2.0, pgbench_per_second=12345.6)
    lines = found.text().splitlines()[3:]
    assert [line.split()[-1] for line in lines] == ["12,346", "MISSED", "met"]
    assert [row.figure.key for row in found.missed] == ["ratio_to_pgbench"]


def test_what_tracing_costs_is_told_by_what_the_same_round_did_without() -> None:
    measured = {"none_per_second": 200.0, "a_tenth_per_second": 190.0, "all_per_second": 100.0}
    measured |= {"none_cpu_us_per_event": 100.0, "a_tenth_cpu_us_per_event": 105.0, "all_cpu_us_per_event": 150.0}
    found = with_ratios({f"tracing.{name}": value for name, value in measured.items()})
    assert found["tracing.a_tenth_per_second_ratio"] == pytest.approx(0.95)
    assert found["tracing.all_cpu_us_per_event_ratio"] == pytest.approx(1.5)
    assert {figure.key for figure in TRACING} - {"tracing.none_memory_mib", "tracing.all_memory_mib"} <= set(found)


def test_json_nests_by_offered_rate_and_tells_the_conditions(tmp_path: Path) -> None:
    report(at_200__commit_to_inbox_p99_ms=7.0).save(tmp_path / "new" / "bench.json")
    found = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert found["at_200"] == {"commit_to_inbox_p99_ms": 7.0}
    assert found["targets"] == {"at_200.commit_to_inbox_p99_ms": "MISSED"}
    assert found["conditions"]["fsync"] is True


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n### not ours\n{BEGIN}\nold\n{END}\nafter\n")
    put_between_markers(page, {"pipeline": "new"})
    assert page.read_text() == f"before\n### not ours\n{BEGIN}\n### pipeline\n\nnew\n{END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(NoMarkers):
        put_between_markers(page, {"pipeline": "new"})


def test_the_tables_of_parts_that_were_not_measured_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    put_between_markers(page, {"tokens": "t1\n\n| a |", "pipeline": "p1"})
    put_between_markers(page, {"services": "s2", "pipeline": "p2"})
    sections = "### pipeline\n\np2\n\n### services\n\ns2\n\n### tokens\n\nt1\n\n| a |"
    assert page.read_text() == f"{BEGIN}\n{sections}\n{END}\n"
    measured = report(tokens__new_us=150.0, pgbench_per_second=1.0).sections()
    assert list(measured) == ["pipeline", "tokens"]
    assert "| CPU of checking an access token that is new, µs | 150 | ≤ 200 | met |" in measured["tokens"]


async def test_a_check_of_a_token_is_measured_as_a_service_makes_it() -> None:
    no_servers: Any = None
    found = await tokens.measure(no_servers, replace(PLAN, seconds=0.05))
    assert set(found) == {figure.key for figure in figures.TOKENS}
    assert found["tokens.known_us"] < found["tokens.new_us"]
    assert found["tokens.new_per_second"] == pytest.approx(1e6 / found["tokens.new_us"])
