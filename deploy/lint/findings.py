"""Findings: what a rule gives, and the comment that excuses one, with a reason."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Found = Iterator[tuple[ast.AST, str]]
Check = Callable[[ast.Module], Found]

_EXCUSE = re.compile(r"#\s*lint: allow (?P<rule>[a-z-]+)(?P<reason> -- \S.*)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by its name, with the one line that says why it is."""

    name: str
    why: str
    check: Check


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A place that breaks a rule."""

    line: int
    column: int
    rule: str
    text: str


def look(source: str, rules: tuple[Rule, ...]) -> list[Finding]:
    """Give what the rules find in a file, in order; raises `SyntaxError`.

    `# lint: allow <rule> -- <reason>` on the line where the finding begins, or alone on the line above it, excuses it. An
    excuse without a reason, and one that excuses nothing, are findings too.
    """
    tree = ast.parse(source)
    excuses = _excuses(source)
    found: list[Finding] = []
    used: set[int] = set()
    for rule in rules:
        for node, text in rule.check(tree):
            line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
            if excuses.get(line, ("", False))[0] == rule.name:
                used.add(line)
            else:
                found.append(Finding(line, column, rule.name, text))
    for line, (name, has_reason) in excuses.items():
        if line not in used:
            found.append(Finding(line, 1, name, "is excused here and not found: remove the comment"))
        elif not has_reason:
            found.append(Finding(line, 1, name, "is excused without a reason: add ` -- because …`"))
    return sorted(found)


def _excuses(source: str) -> dict[int, tuple[str, bool]]:
    """Give the line that each excuse is for, the rule it names, and whether it gives a reason."""
    excuses = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (match := _EXCUSE.match(token.string)):
            alone = not token.line[: token.start[1]].strip()
            excuses[token.start[0] + alone] = (match["rule"], match["reason"] is not None)
    return excuses
