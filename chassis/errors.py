"""Errors: what is understood and declined, and what keeps a process from starting."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """How a refusal is meant; the HTTP edge gives each kind its status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CONFLICT = "conflict"
    STALE = "stale"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    UNPROCESSABLE = "unprocessable"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


class Refusal(Exception):
    """Something was understood and declined; a subclass's docstring is the message a person sees.

    Never retried. `facts` fill the braces of the docstring (`{seconds}`); they are safe to show to anybody.
    `retry_after` is in seconds.
    """

    kind: ClassVar[Kind]

    def __init__(self, *, retry_after: int | None = None, **facts: object) -> None:
        super().__init__(type(self).__name__)
        self.retry_after = retry_after
        self.facts: Mapping[str, object] = facts

    @property
    def challenge(self) -> str | None:
        """Say how to authenticate, for `WWW-Authenticate`: a 401 always does (RFC 9110, 15.5.2)."""
        return "Bearer" if self.kind is Kind.UNAUTHENTICATED else None


class Misconfigured(Exception):
    """The service cannot start; the text says what is missing or wrong, where, and what to do."""


class CannotLook(Exception):
    """Something to be looked at does not answer, or does not tell; the text says what, where, and is safe to show."""
