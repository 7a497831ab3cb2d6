"""Dashboards and alerts: every query is PromQL that asks for metrics, labels and values that exist, and none is forgotten."""

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from promql_parser import AggModifierType, AggregateExpr, BinaryExpr

from contracts.topics import ALL as TOPICS
from deploy.local.platform import SERVICES
from deploy.observability.boards import ALL as BOARDS
from tests.conftest import ROOT
from tests.support.queries import asked_for, dashboards, expressions, groupings, queries, rules, selectors, targets

OF_PROMETHEUS = {"up": set[str]()}
"""Metrics that Prometheus makes itself."""
OF_TARGETS = {"job", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def known() -> dict[str, set[str]]:
    """Give each series' name that the processes' own registry can show, with its labels."""
    for service in SERVICES:
        importlib.import_module(f"services.{service}.__main__")
    found = dict(OF_PROMETHEUS)
    for collector in list(REGISTRY._collector_to_names):
        for family in collector.describe() if hasattr(collector, "describe") else collector.collect():
            labels = set(getattr(collector, "_labelnames", ()))
            labels |= set(getattr(family, "_labelnames", ())) | {
                name for each in family.samples for name in each.labels
            }
            for suffix in SUFFIXES.get(family.type, ("",)):
                found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def wrong(query: str, series: dict[str, set[str]]) -> Iterator[str]:
    """Say what a query asks for that does not exist."""
    every = expressions(query)
    labels: set[str] = set(OF_TARGETS)
    for selector in selectors(query):
        if selector.name not in series:
            yield f"no metric {selector.name}"
            continue
        own = series[selector.name] | OF_TARGETS
        labels |= own
        yield from (
            f"no label {each.name} of {selector.name}" for each in selector.matchers.matchers if each.name not in own
        )
    for each in every:
        grouped: list[str] = []
        if isinstance(each, AggregateExpr) and each.modifier:
            assert each.modifier.type == AggModifierType.By  # `without` would keep what a new label brings.
            grouped = each.modifier.labels
        elif isinstance(each, BinaryExpr) and each.modifier and each.modifier.matching:
            grouped = each.modifier.matching.labels
        yield from (f"no label {name} to group by" for name in grouped if name not in labels)


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_asks_for_what_exists(query: str) -> None:
    assert list(wrong(query, known())) == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("samband_outbox_depht > 0", "no metric samband_outbox_depht"),
        ("samband_outbox_written > 0", "no metric samband_outbox_written"),
        ('rate(samband_consumed_total{lnae="urgent"}[5m])', "no label lnae of samband_consumed_total"),
        ("sum by (route) (rate(samband_consumed_total[5m]))", "no label route to group by"),
        ("samband_pool_in_use / on (lane) samband_pool_size", "no label lane to group by"),
    ],
)
def test_a_query_for_what_does_not_exist_is_found(query: str, says: str) -> None:
    assert list(wrong(query, known())) == [says]


@pytest.mark.parametrize("query", ["sum(", "rate(samband_consumed_total)", "sum by job (up)", "up{job=samband}"])
def test_what_is_no_promql_is_refused(query: str) -> None:
    with pytest.raises(ValueError):
        expressions(query)


def test_every_metric_is_on_a_dashboard() -> None:
    """What is measured and never looked at is a cost."""
    shown = asked_for(target["expr"] for dashboard in dashboards() for target in targets(dashboard))
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in known() if name.startswith("samband_")}
    assert ours - {re.sub("_(bucket|sum|count)$", "", name) for name in shown} == set()


def test_every_value_that_a_query_compares_with_is_one_that_the_code_writes() -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for part in ("chassis", "contracts", "services") for path in _sources(part)
    )
    values = {
        value
        for query in queries()
        for each in selectors(query)
        for matcher in each.matchers.matchers
        if matcher.name not in OF_TARGETS
        for value in matcher.value.split("|")
    }
    assert len(values) > 5
    assert {value for value in values - {"5xx"} if f'"{value}"' not in code and f"class {value}(" not in code} == set()


def _sources(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    every = rules()
    assert len(every) > 10
    assert [name for name, count in Counter(rule["alert"] for rule in every).items() if count > 1] == []
    for rule in every:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch("Samband[A-Z][A-Za-z]+", rule["alert"])
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "action"}
        assert len(rule["annotations"]["action"].split()) >= 10
        assert "for" not in rule or re.fullmatch("[0-9]+[mh]", rule["for"])


def test_the_labels_that_an_alert_speaks_of_are_those_that_it_has() -> None:
    for rule in rules():
        spoken = set(re.findall(r"\$labels\.([a-z_]+)", "".join(rule["annotations"].values())))
        assert spoken <= (groupings(rule["expr"]) or [OF_TARGETS])[0], rule["alert"]


def test_the_settings_commands_and_events_that_an_action_names_exist() -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for part in ("chassis", "contracts", "services") for path in _sources(part)
    )
    actions = " ".join(rule["annotations"]["action"] for rule in rules())
    settings = set(re.findall("SAMBAND_([A-Z_]+)", actions))
    assert settings
    assert {name for name in settings if f"    {name.lower()}:" not in code} == set()
    events = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", actions)) - {
        "trace_id",
        "pg_stat_activity",
        "pg_locks",
        "max_connections",
    }
    assert events
    assert {event for event in events if f'"{event}"' not in code} == set()
    commands = {command.strip() for command in re.findall("`((?:dead-letters|outbox) [a-z]+)", actions)}
    assert commands
    assert {command for command in commands if f'"{command}"' not in code} == set()


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: dashboard["uid"])
def test_a_dashboard_is_one_that_grafana_takes(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] in {board.name for board in BOARDS}
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: Counter[tuple[int, int]] = Counter()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        across, down = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        taken.update((x, y) for x in across for y in down)
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")
    assert max(taken.values()) == 1
    for target in targets(dashboard):
        spoken = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert spoken <= OF_TARGETS.union(*groupings(target["expr"]))


def test_no_topic_is_named_by_hand() -> None:
    assert [topic.name for topic in TOPICS if any(topic.name in query for query in queries())] == []
