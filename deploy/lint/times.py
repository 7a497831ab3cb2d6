"""Times: one without a time zone is an hour off twice a year, and compares with none that has one."""

from __future__ import annotations

import ast

from deploy.lint import trees
from deploy.lint.findings import Found, Rule

_NEVER = {
    "datetime.datetime.utcnow": "utcnow() has no time zone: use now(UTC)",
    "datetime.datetime.utcfromtimestamp": "utcfromtimestamp() has no time zone: use fromtimestamp(seconds, UTC)",
    "datetime.datetime.today": "today() has no time zone: use now(UTC)",
    "datetime.date.today": "today() is the machine's day: ask the database, or now() of a named zone",
}
_ZONED = {"datetime.datetime.now": 0, "datetime.datetime.fromtimestamp": 1, "datetime.datetime": 7}
"""Each with the place of its time zone among the arguments."""


def check(tree: ast.Module) -> Found:
    """Find times that are made without a time zone."""
    names = trees.imported(tree)
    for call in trees.calls(tree):
        name = trees.full_name(call.func, names)
        if name in _NEVER:
            yield call, _NEVER[name]
        elif name in _ZONED and not _has_zone(call, _ZONED[name]):
            yield call, f"{name.rpartition('.')[2]}() without a time zone: give it one, such as UTC"


def _has_zone(call: ast.Call, place: int) -> bool:
    if any(isinstance(given, ast.Starred) for given in call.args) or any(word.arg is None for word in call.keywords):
        return True  # It cannot be seen here.
    zone = trees.argument(call, "tz") or trees.argument(call, "tzinfo")
    if zone is None and len(call.args) > place:
        zone = call.args[place]
    return zone is not None and not (isinstance(zone, ast.Constant) and zone.value is None)


RULE = Rule("naive-time", "every time names its zone", check)
