"""Lengths: `make test` runs a short form of what `make faults` runs in full."""

import os

FULL = os.environ.get("SAMBAND_TEST_FULL") == "1"


def length(short: int, full: int) -> int:
    """Give how many of something a test does: a few in `make test`, all in `make faults`."""
    return full if FULL else short
