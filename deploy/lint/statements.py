"""Statements: SQL is a literal with `$1`; what is put together at run time can hold what a stranger wrote."""

from __future__ import annotations

import ast
import re

from deploy.lint import trees
from deploy.lint.findings import Found, Rule

RUNS = frozenset({"execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "prepare", "cursor"})
_SQL = re.compile(
    r"\s*(select\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s|truncate\s|grant\s|revoke\s"
    r"|(create|drop|alter)\s+(table|index|schema|database|role|type|function|view)\s|set\s+local\s|notify\s|listen\s)",
    re.IGNORECASE,
)
_SAID = "SQL put together at run time: write it as a literal with $1, as a constant of store.py"


def check(tree: ast.Module) -> Found:
    """Find text that is put together and begins as SQL does, or that a connection is told to run."""
    built = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_built(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    told: set[ast.expr] = set()
    for call in trees.calls(tree):
        if isinstance(call.func, ast.Attribute) and call.func.attr in RUNS:
            for given in (*call.args[:1], trees.argument(call, "query")):
                origin = built.get(given.id) if isinstance(given, ast.Name) else given
                if origin is not None and is_built(origin):
                    told.add(origin)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and (node in told or (is_built(node) and _SQL.match(_beginning(node)))):
            yield node, _SAID


def is_built(node: ast.expr) -> bool:
    """Whether an expression makes text out of parts that are not all literals."""
    match node:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(op=ast.Mod(), left=left):
            return _is_text(left)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return (_is_text(left) or _is_text(right) or is_built(left) or is_built(right)) and not (
                _is_text(left) and _is_text(right)
            )
        case ast.Call(func=ast.Attribute(attr="format" | "format_map")):
            return True
        case ast.Call(func=ast.Attribute(value=separator, attr="join")):
            return _is_text(separator)
        case _:
            return False


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _beginning(node: ast.expr) -> str:
    """Give the literal text that a put-together text begins with."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return _beginning(first)
        case ast.BinOp(left=left):
            return _beginning(left)
        case ast.Call(func=ast.Attribute(value=value)):
            return _beginning(value)
        case _:
            return ""


RULE = Rule("sql", "SQL is a literal: nobody's text becomes part of a statement", check)
