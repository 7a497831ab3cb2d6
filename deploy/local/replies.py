"""Replies: what a scripted mailbox does to a recipient instead of taking the mail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["rcpt", "data"]


@dataclass(frozen=True, slots=True)
class Reply:
    """Made by one of the functions below; it comes after the address (`rcpt`) or after the final dot (`data`)."""

    at: Stage
    does: Literal["answer", "hang", "drop"]
    line: str = ""
    keeps: bool = False


Script = Callable[[str], Reply | None]
"""Asked with the address at every RCPT; None takes the mail."""


def answer(code: int, *, at: Stage = "rcpt", text: str = "scripted") -> Reply:
    """Refuse with this code; after 421 the connection is closed, as RFC 5321 has it."""
    return Reply(at, "answer", line=f"{code} {text}")


def hang(*, at: Stage = "rcpt") -> Reply:
    """Say nothing more until the client gives up."""
    return Reply(at, "hang")


def drop(*, keeps: bool, at: Stage = "data") -> Reply:
    """Drop the connection without an answer; `keeps` says whether the mail was taken nevertheless."""
    return Reply(at, "drop", keeps=keeps)
