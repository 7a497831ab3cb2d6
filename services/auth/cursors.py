"""Cursors: a place in a sorted list, as whoever reads it on brings it back."""

import base64
import binascii
import json
from uuid import UUID

from services.auth.errors import WrongCursor

LONGEST = 2_000
MOST = 2**53
"""Microseconds that are counted exactly: to the year 2255."""


def write(sort: str, key: str, last: UUID) -> str:
    """Name the place behind a row: how the list is sorted, what the row sorts by, and its id."""
    place = json.dumps([sort, key, str(last)], ensure_ascii=False)
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def read_cursor(text: str, sort: str, *, number: bool = False) -> tuple[str, UUID]:
    """Read a place in a list that is sorted in this way, by text or by a number; raises `WrongCursor`."""
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        kind, key, last = found
        place = str(key), UUID(last)
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise WrongCursor from None
    if kind != sort or not isinstance(key, str) or "\0" in key or any("\ud800" <= each <= "\udfff" for each in key):
        raise WrongCursor
    if number and not (key.isascii() and key.isdecimal() and len(key) < 20 and int(key) < MOST):  # noqa: PLR2004 -- of 2^53.
        raise WrongCursor
    return place
