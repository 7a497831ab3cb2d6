"""People: whom the simulator lets one be. All synthetic: Tenor's kind of number, 80 more on the month, that nobody has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in at the provider."""

    name: str
    number: str

    def subject(self, client_id: str) -> str:
        """Name the person to one client alone (pairwise)."""
        return f"{client_id}|{self.number[::-1]}"


FIRST, SECOND = (3, 7, 6, 1, 8, 9, 4, 5, 2), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def _person(name: str, nine: str) -> Person:
    first = -sum(weight * int(digit) for weight, digit in zip(FIRST, nine, strict=True)) % 11
    second = -sum(weight * int(digit) for weight, digit in zip(SECOND, f"{nine}{first}", strict=False)) % 11
    number = f"{nine}{first}{second}"
    assert len(number) == 11, f"{nine} has no check digits"  # noqa: PLR2004 -- as all identity numbers have.
    return Person(name, number)


PEOPLE = (
    _person("Kari Nordmann", "018190101"),
    _person("Ola Nordmann", "029275113"),
    _person("Liv Eksempel", "158500501"),
    _person("Nils Døme", "478362120"),
)
