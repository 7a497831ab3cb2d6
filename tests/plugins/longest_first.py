"""The longest files first: where workers take files one at a time, no long one is left for a single worker at the end.

A file is as long as its tests may be: `@pytest.mark.timeout` says so of those that are longer than others. All the
others follow by their number of tests. pytest-xdist keeps this order where it is given `--no-loadscope-reorder`.
"""

from collections import Counter
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seconds, tests = Counter[Path](), Counter[Path]()
    for item in items:
        tests[item.path] += 1
        if (own := item.get_closest_marker("timeout")) is not None:
            seconds[item.path] += own.args[0]
    items.sort(key=lambda item: (-seconds[item.path], -tests[item.path]))
