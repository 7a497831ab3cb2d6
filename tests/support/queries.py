"""Queries of dashboards and alerts, parsed as Prometheus parses them."""

import json
from collections.abc import Iterable
from typing import Any

import promql_parser
import yaml
from promql_parser import AggregateExpr, Expr, VectorSelector

from deploy.observability.boards import RATE
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "observability"


def rules() -> list[dict[str, Any]]:
    """Give the alert rules."""
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "dashboards").glob("*.json"))]


def targets(dashboard: dict[str, Any]) -> list[dict[str, str]]:
    """Give a dashboard's queries, with their legends."""
    return [target for panel in dashboard["panels"] for target in panel.get("targets", ())]


def queries() -> list[str]:
    """Give every query that there is."""
    shown = [target["expr"] for dashboard in dashboards() for target in targets(dashboard)]
    return [*shown, *(rule["expr"] for rule in rules())]


def expressions(query: str) -> list[Expr]:
    """Parse a query, and give all that it is made of, the outermost first; raises ValueError for what is no PromQL."""
    found: list[Expr] = []

    def visit(expression: Expr) -> None:
        found.append(expression)

    promql_parser.walk(promql_parser.parse(query.replace(RATE, "5m")), visit)
    return found


def selectors(query: str) -> list[VectorSelector]:
    return [each for each in expressions(query) if isinstance(each, VectorSelector)]


def asked_for(among: Iterable[str]) -> set[str]:
    """Give the names of the series that queries ask for."""
    return {str(each.name) for query in among for each in selectors(query)}


def groupings(query: str) -> list[set[str]]:
    """Give the labels of each `by`, the outermost first."""
    every = [each for each in expressions(query) if isinstance(each, AggregateExpr)]
    return [set(each.modifier.labels) for each in every if each.modifier]
