"""What can go wrong before anything runs."""

from __future__ import annotations


class SetupError(Exception):
    """Something is missing or refused to start; the message says what, and what to do about it."""
