"""Identity numbers: every kind that a provider may tell is read, its birth date too, and never a gender."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.identities import numbers
from services.auth.identities.errors import WrongIdentityNumber
from services.auth.identities.numbers import IdentityNumber, Kind
from tests.auth.identities.people import numbered


@pytest.mark.parametrize(
    ("start", "individual", "kind", "synthetic", "born"),
    [
        ("010190", 100, Kind.BIRTH, False, date(1990, 1, 1)),
        ("290200", 500, Kind.BIRTH, False, date(2000, 2, 29)),
        ("311239", 999, Kind.BIRTH, False, date(2039, 12, 31)),
        ("010155", 600, Kind.BIRTH, False, date(1855, 1, 1)),
        ("150540", 901, Kind.BIRTH, False, date(1940, 5, 15)),
        ("410190", 100, Kind.D, False, date(1990, 1, 1)),
        ("018190", 100, Kind.BIRTH, True, date(1990, 1, 1)),
        ("319299", 450, Kind.BIRTH, True, date(1999, 12, 31)),
        ("016690", 100, Kind.BIRTH, True, date(1990, 1, 1)),
        ("014190", 100, Kind.BIRTH, True, date(1990, 1, 1)),
        ("718190", 100, Kind.D, True, date(1990, 1, 31)),
    ],
)
def test_a_number_says_whose_kind_it_is_and_when_they_were_born(
    start: str, individual: int, kind: Kind, synthetic: bool, born: date
) -> None:
    digits = numbered(start, individual)
    assert numbers.read_number(f"{digits[:6]} {digits[6:]}") == IdentityNumber(digits, kind, synthetic, born)


@pytest.mark.parametrize("remainder", [0, 1, 2, 3])
def test_the_numbers_that_are_given_from_2032_on_are_read(remainder: int) -> None:
    digits = numbered("010132", 700, remainder=remainder)
    assert numbers.read_number(digits).born == date(2032, 1, 1)


@pytest.mark.parametrize("remainder", range(4, 11))
def test_no_other_remainder_is_read(remainder: int) -> None:
    with pytest.raises(WrongIdentityNumber):
        numbers.read_number(numbered("010132", 700, remainder=remainder))


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "0101901000", "010190100000", "0101901 000x", "٠١٠١٩٠١٠٠١٢",
        numbered("000190", 100), numbered("320190", 100), numbered("310490", 100), numbered("290290", 100),
        numbered("010090", 100), numbered("011390", 100), numbered("019390", 100), numbered("720190", 100),
        numbered("010150", 600), numbered("010145", 760),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(WrongIdentityNumber):
        numbers.read_number(text)


@given(digits=st.just(numbered("018190", 100)), place=st.integers(0, 10), other=st.integers(1, 9))
def test_one_digit_mistyped_is_noticed_but_for_what_2032_lets_pass(digits: str, place: int, other: int) -> None:
    wrong = digits[:place] + str((int(digits[place]) + other) % 10) + digits[place + 1 :]
    assert numbers._remainder(wrong, numbers.SECOND) != 0
    with pytest.raises(WrongIdentityNumber):
        numbers.read_number(wrong)


def test_a_number_shows_in_no_repr_and_says_nothing_of_gender() -> None:
    number = numbers.read_number(numbered("018190", 100))
    assert number.digits not in repr(number)
    assert not {"gender", "sex", "female", "male"} & set(dir(number))
