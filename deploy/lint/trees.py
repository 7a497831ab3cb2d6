"""Trees: what several rules ask of a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def dotted(node: ast.AST) -> str:
    """Write a name or an attribute as it stands: `a`, `a.b.c`; a call within counts as `()`, anything else as nothing."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
        case ast.Call(func=function):
            return f"{dotted(function)}()"
        case _:
            return ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Give every call."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def argument(call: ast.Call, name: str) -> ast.expr | None:
    """Give a keyword argument of a call, or None."""
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def imported(tree: ast.Module) -> dict[str, str]:
    """Give each name that the file imports, with what it stands for: `dt` with `datetime.datetime`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.asname or alias.name: alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), names=aliases):
                names |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in aliases}
    return names


def full_name(node: ast.AST, names: dict[str, str]) -> str:
    """Write a name as the module that it comes from has it: `datetime.datetime.now`."""
    first, dot, rest = dotted(node).partition(".")
    return names.get(first, first) + dot + rest
