"""Failpoints: named places where the fault suite makes a process die or freeze; in production nothing happens there."""

from collections.abc import Callable

_hooks: list[Callable[[str], None]] = []


def reach(name: str) -> None:
    """Pass the named place. The hook that can stop a process here lives among the tests, not in this code."""
    for hook in _hooks:
        hook(name)


def install(hook: Callable[[str], None]) -> None:
    """Let a test's hook hear of every place that is reached from now on."""
    _hooks.append(hook)
