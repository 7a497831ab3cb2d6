"""Numbers: Norwegian identity numbers, eleven digits of which the last two are checks (modulus 11).

A fødselsnummer, a D-number (4 more on the first digit), or a synthetic one of either (40, 65 or 80 more on the month). From
2032 on the first check digit may leave a remainder of 1, 2 or 3 as well; the second never leaves any. Such numbers are
read already: test persons have them, and nobody could tell from a number when it was given. Since then no digit says
anything of gender, and none is asked here, whenever a number was given.
"""

import calendar
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from services.auth.identities.errors import WrongIdentityNumber

DIGITS = 11
FIRST = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
SECOND = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
REMAINDERS = range(4)
D_NUMBER_DAYS = 40
MONTHS = 12
SYNTHETIC_MONTHS = (80, 65, 40)
CENTURIES = ((0, 499, 1900, 0, 99), (500, 749, 1800, 54, 99), (500, 999, 2000, 0, 39), (900, 999, 1900, 40, 99))
"""From and to which of the digits seven to nine, in which century, from and to which year of it."""


class Kind(StrEnum):
    """Who has such a number: residents, or others who need one."""

    BIRTH = "birth"
    D = "d"


@dataclass(frozen=True, slots=True)
class IdentityNumber:
    """A number that somebody may have; it shows in no `repr`."""

    digits: str = field(repr=False)
    kind: Kind
    synthetic: bool
    born: date = field(repr=False)


def read_number(text: str) -> IdentityNumber:
    """Read an identity number, with or without spaces; raises `WrongIdentityNumber`."""
    digits = "".join(text.split())
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdecimal()):
        raise WrongIdentityNumber
    if _remainder(digits, FIRST) not in REMAINDERS or _remainder(digits, SECOND) != 0:
        raise WrongIdentityNumber
    day, month = int(digits[:2]), int(digits[2:4])
    kind = Kind.D if day > D_NUMBER_DAYS else Kind.BIRTH
    more = next((more for more in SYNTHETIC_MONTHS if month > more), 0)
    born = _date(_year(int(digits[4:6]), int(digits[6:9])), month - more, day - D_NUMBER_DAYS * (kind is Kind.D))
    return IdentityNumber(digits, kind, more > 0, born)


def _remainder(digits: str, weights: tuple[int, ...]) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False)) % 11


def _year(short: int, individual: int) -> int:
    for first, last, century, from_year, to_year in CENTURIES:
        if first <= individual <= last and from_year <= short <= to_year:
            return century + short
    raise WrongIdentityNumber


def _date(year: int, month: int, day: int) -> date:
    if not 1 <= month <= MONTHS or not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise WrongIdentityNumber
    return date(year, month, day)
