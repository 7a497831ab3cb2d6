"""Saying: a log line is a constant name with ids as keywords, never a secret or a person's data."""

from __future__ import annotations

import ast

from chassis.logging import SECRET_NAMES
from deploy.lint import trees
from deploy.lint.findings import Found, Rule

LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception", "bind", "bind_contextvars"})
HARMLESS = frozenset({"name", "value"})
"""Masked where they name a keyword; as the last part of what is shown (`loop.name`) they say nothing yet."""
LOGS = frozenset({"log", "logger", "structlog.contextvars"})


def check(tree: ast.Module) -> Found:
    """Find log calls that show, or are told, what may be a secret, and events that are not constant names."""
    for call in trees.calls(tree):
        log, _, level = trees.dotted(call.func).rpartition(".")
        if level not in LEVELS or log not in LOGS:
            continue
        yield from ((given, _VARIES) for given in call.args[:1] if not _is_constant(given))
        yield from ((given, _MORE) for given in call.args[1:])
        for word in call.keywords:
            if word.arg is None:
                continue
            shown = (name for name in _read(word.value) if name not in HARMLESS)
            secret = next((name for name in (word.arg, *shown) if _is_secret(name)), None)
            if secret is not None:
                yield word.value, f"{secret!r} may be a secret or a person's: log the id of what it belongs to"


_VARIES = "the event of a log line is a constant name: what varies goes into keywords"
_MORE = "a log line takes keywords only: its parts have names"


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_constant(node.body) and _is_constant(node.orelse)
    return isinstance(node, ast.Constant)


def _read(value: ast.expr) -> list[str]:
    """Give the last names of what a value shows as it is: itself, or what `str`, `repr` and f-strings write of it."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return [name]
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[shown]):
            return _read(shown)
        case ast.JoinedStr(values=parts):
            return [name for part in parts if isinstance(part, ast.FormattedValue) for name in _read(part.value)]
        case _:
            return []


def _is_secret(name: str) -> bool:
    """Whether the name is, or ends with, one that redaction masks: `code`, `new_password`."""
    name = name.lower()
    return name in SECRET_NAMES or any(name.endswith(f"_{secret}") for secret in SECRET_NAMES)


RULE = Rule("secret-in-log", "no secret and nobody's data in a log line", check)
