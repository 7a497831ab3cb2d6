"""Grafana: a board as the JSON that Grafana imports; the same board makes the same bytes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.observability.boards import ALL, Board, Panel

FOLDER = Path("deploy/observability/dashboards")
COLUMNS, WIDTH, HEIGHT = 3, 8, 8
SOURCE = {"type": "prometheus", "uid": "${source}"}


def made() -> dict[Path, str]:
    """Make every dashboard, by its path from the checkout's root."""
    return {FOLDER / f"{board.name}.json": text(board) for board in ALL}


def text(board: Board) -> str:
    """Write a board; which Prometheus and which jobs are chosen on the page."""
    dashboard = {
        "uid": board.name,
        "title": board.title,
        "tags": ["samband"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"title": "Samband", "type": "dashboards", "tags": ["samband"], "asDropdown": True, "keepTime": True}
        ],
        "templating": {
            "list": [
                {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                {
                    "name": "job",
                    "label": "Job",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": "label_values(samband_build_info, job)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".+",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": list(_panels(board)),
    }
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    top, number = 0, 0
    for title, panels in board.rows:
        number += 1
        yield {"id": number, "type": "row", "title": title, "gridPos": _place(top, 0, 1, WIDTH * COLUMNS)}
        top += 1
        for n, panel in enumerate(panels):
            number += 1
            place = _place(top + n // COLUMNS * HEIGHT, n % COLUMNS * WIDTH, HEIGHT, WIDTH)
            yield {"id": number, "gridPos": place, **_graph(panel)}
        top += -(-len(panels) // COLUMNS) * HEIGHT


def _place(top: int, left: int, height: int, width: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _graph(panel: Panel) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for n, (legend, query) in enumerate(panel.queries)
        ],
    }
