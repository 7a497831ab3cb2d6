"""Strict JSON: an object that somebody else has signed is read one way only: no name twice, no NaN (RFC 8725, 2.4)."""

import base64
import json
from typing import Any, NoReturn


class NotAnObject(ValueError):
    """This is no such object; the text is a constant that says in which way."""


def read_object(content: bytes) -> dict[str, Any]:
    """Read an object; raises `NotAnObject`."""
    try:
        found = json.loads(content, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NotAnObject("cannot be read") from None
    if not isinstance(found, dict):
        raise NotAnObject("is no object")
    return found


def read_part(part: str) -> dict[str, Any]:
    """Read the part of a compact JWS that holds an object, in base64url without padding; raises `NotAnObject`."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise NotAnObject("cannot be read") from None
    return read_object(content)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
