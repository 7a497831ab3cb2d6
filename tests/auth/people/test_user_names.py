"""User names: compared as people mean them, never taken for an address, and null for who has none of their own."""

import pytest

from services.auth.people.addresses import Address
from services.auth.people.errors import WrongUserName
from services.auth.people.user_names import LONGEST, choose, key_of, read_login

KARI = Address("kari@example.no")


@pytest.mark.rule("L1")
@pytest.mark.parametrize("typed", ["Kari", "  kari ", "KARI", "ｋａｒｉ", "kari\t"])
def test_a_user_name_is_compared_without_case_width_and_outer_spaces(typed: str) -> None:
    assert [str(key_of(typed)), str(read_login(typed))] == ["kari", "kari"]


@pytest.mark.rule("L1")
@pytest.mark.parametrize("typed", ["straße", "Straße", "STRASSE"])
def test_letters_that_fold_to_several_are_the_same_name(typed: str) -> None:
    assert key_of(typed) == "strasse"


@pytest.mark.parametrize(
    "typed", ["", "   ", "kari@example.no", "kari＠example.no", "ka\0ri", "ka\u202eri", "k" * (LONGEST + 1), "ﷺ" * 10]
)
def test_what_cannot_be_a_user_name_is_refused(typed: str) -> None:
    with pytest.raises(WrongUserName):
        key_of(typed)


def test_a_name_of_the_greatest_length_is_taken() -> None:
    assert len(key_of("ø" * LONGEST)) == LONGEST


@pytest.mark.rule("L1")
@pytest.mark.parametrize("typed", [None, "", "  ", "kari@example.no", " Kari@EXAMPLE.no "])
def test_who_is_given_no_name_or_the_own_address_has_no_user_name(typed: str | None) -> None:
    assert choose(typed, KARI) is None


@pytest.mark.rule("L1")
def test_a_user_name_is_kept_as_it_was_typed() -> None:
    assert choose(" Kari Nordmann ", KARI) == ("Kari Nordmann", "kari nordmann")


def test_another_s_address_is_no_user_name() -> None:
    with pytest.raises(WrongUserName):
        choose("ola@example.no", KARI)


@pytest.mark.rule("L1")
@pytest.mark.parametrize(
    ("typed", "login"),
    [
        (" Kari@EXAMPLE.no ", "kari@example.no"),
        ("Kari Nordmann", "kari nordmann"),
        ("kari@", "kari@"),
        ("@", "@"),
        ("", ""),
        ("\0", "\0"),
    ],
)
def test_whatever_is_typed_to_log_in_is_read_and_nothing_is_said_of_it(typed: str, login: str) -> None:
    assert read_login(typed) == login
