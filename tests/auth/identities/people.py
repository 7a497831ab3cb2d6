"""Synthetic people: identity numbers that nobody has."""

import itertools

from services.auth.identities import numbers


def numbered(start: str, individual: int, *, remainder: int = 0) -> str:
    """Give the number of this date, with the first individual number from here on that both check digits allow."""
    for digits in itertools.count(individual):
        for first, second in itertools.product("0123456789", repeat=2):
            found = f"{start}{digits:03d}{first}{second}"
            if numbers._remainder(found, numbers.FIRST) == remainder and not numbers._remainder(found, numbers.SECOND):
                return found
    raise AssertionError(start)
