"""Acknowledging: FastStream's defaults lose messages or skip history, so each subscriber says both things itself."""

from __future__ import annotations

import ast

from deploy.lint import trees
from deploy.lint.findings import Found, Rule

POLICY, OFFSET = "AckPolicy.NACK_ON_ERROR", "earliest"


def check(tree: ast.Module) -> Found:
    """Find subscribers with another policy, or none, and consumers that commit by themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and trees.dotted(node.value).endswith("AckPolicy"):
            if f"AckPolicy.{node.attr}" != POLICY:
                yield (
                    node,
                    f"AckPolicy.{node.attr} loses messages or stops a partition: {POLICY} alone is known to hold",
                )
        elif isinstance(node, ast.Call):
            yield from _check_call(node)


def _check_call(call: ast.Call) -> Found:
    for name in ("enable_auto_commit", "auto_commit", "no_ack"):
        if _value(call, name) is True:
            yield call, f"{name}=True acknowledges what nobody has handled yet"
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "subscriber"):
        return
    policy = trees.argument(call, "ack_policy")
    if policy is None:
        yield call, f"a subscriber without an ack_policy acknowledges first: say ack_policy={POLICY}"
    if _value(call, "auto_offset_reset") != OFFSET:
        yield call, f'a subscriber without auto_offset_reset="{OFFSET}" skips what came before it'


def _value(call: ast.Call, name: str) -> object:
    given = trees.argument(call, name)
    return given.value if isinstance(given, ast.Constant) else None


RULE = Rule("ack-policy", "a message is acknowledged when it was handled", check)
