"""Failures: one that is caught is raised again, logged, used, or, when it was named, answered; never dropped."""

from __future__ import annotations

import ast

from deploy.lint import trees
from deploy.lint.findings import Found, Rule

_BROAD = frozenset({"Exception", "BaseException"})
_SAYS = frozenset({"log", "logger", "logging", "print", "traceback"})


def check(tree: ast.Module) -> Found:
    """Find handlers that drop what they caught, and `suppress` of everything."""
    names = trees.imported(tree)
    waits = {
        handler
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and _is_wait(node, names)
        for handler in node.handlers
        if handler.type is not None and trees.dotted(handler.type) == "TimeoutError"
    }
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler() if node not in waits and _drops(node):
                yield node, "a failure is caught and dropped: raise it, log it, or answer a failure that is named"
            case ast.Call() if trees.full_name(node.func, names) == "contextlib.suppress" and _is_broad(node.args):
                yield node, "suppress() of everything: name the failure that is no failure here"


def _is_wait(tried: ast.Try, names: dict[str, str]) -> bool:
    """Whether all that is tried is to wait for so long: that it took the whole time is no failure then."""
    match tried.body:
        case [ast.AsyncWith(items=[ast.withitem(context_expr=ast.Call(func=function))])]:
            return trees.full_name(function, names) == "asyncio.timeout"
        case _:
            return False


def _drops(handler: ast.ExceptHandler) -> bool:
    body = [node for statement in handler.body for node in ast.walk(statement)]
    if any(isinstance(node, ast.Raise) or _is_said(node) for node in body):
        return False
    if handler.name and any(isinstance(node, ast.Name) and node.id == handler.name for node in body):
        return False
    if handler.type is None or _is_broad([handler.type]):
        return True
    return all(_is_nothing(statement) for statement in handler.body)


def _is_said(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and trees.dotted(node.func).partition(".")[0] in _SAYS


def _is_broad(types: list[ast.expr]) -> bool:
    each = [inner for given in types for inner in (given.elts if isinstance(given, ast.Tuple) else [given])]
    return any(trees.dotted(one) in _BROAD for one in each)


def _is_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Return(value=None):
            return True
        case ast.Expr(value=ast.Constant(value=value)):
            return value is ...
        case _:
            return False


RULE = Rule("swallowed", "no failure is dropped unseen", check)
