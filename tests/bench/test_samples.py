from pathlib import Path
from uuid import UUID

import pytest

from bench.pipeline import drain_rate, medians
from bench.samples import Missing, Samples, delays, load, percentile

FIRST, SECOND = UUID(int=1).bytes, UUID(int=2).bytes


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_a_percentile_is_a_value_that_was_seen(percent: float, expected: int) -> None:
    assert percentile(list(range(1, 101)), percent) == expected


def test_a_percentile_of_one_value_is_that_value_and_of_none_an_error() -> None:
    assert percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_the_first_coming_of_an_event_counts(tmp_path: Path) -> None:
    samples = Samples()
    for event, moment in ((FIRST, 5), (SECOND, 6), (FIRST, 9)):
        samples.add(event, moment)
    samples.save(tmp_path / "samples")
    assert load(tmp_path / "samples") == {FIRST: 5, SECOND: 6}


def test_delays_are_milliseconds_in_order() -> None:
    begun, ended = {FIRST: 0, SECOND: 1_000_000}, {FIRST: 3_000_000, SECOND: 2_500_000}
    assert delays(begun, ended) == [1.5, 3.0]


def test_an_event_that_did_not_arrive_is_a_failure_and_no_fast_event() -> None:
    with pytest.raises(Missing, match="1 of 2 events"):
        delays({FIRST: 0, SECOND: 0}, {FIRST: 1})


def test_a_drain_is_measured_from_its_first_acknowledgement_on() -> None:
    second = 1_000_000_000
    assert drain_rate([second, second, 2 * second, 3 * second]) == 1.0


def test_medians_are_taken_figure_by_figure() -> None:
    assert medians([{"a": 1.0, "b": 9.0}, {"a": 5.0, "b": 7.0}, {"a": 2.0, "b": 8.0}]) == {"a": 2.0, "b": 8.0}
