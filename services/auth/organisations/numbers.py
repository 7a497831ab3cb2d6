"""Numbers: the Norwegian organisation number, nine digits of which the last is a check (modulus 11)."""

from typing import NewType

from services.auth.organisations.errors import WrongNumber

Number = NewType("Number", str)
_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


def read_number(text: str) -> Number:
    """Read an organisation number, with or without spaces; raises `WrongNumber`."""
    digits = "".join(text.split())
    if len(digits) != len(_WEIGHTS) + 1 or not (digits.isascii() and digits.isdecimal()):
        raise WrongNumber
    check = -sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=False)) % 11
    if str(check) != digits[-1]:
        raise WrongNumber
    return Number(digits)
