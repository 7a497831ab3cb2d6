"""Policy: long passwords of any characters are taken; what others would guess first is refused, and it is said why."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from services.auth.passwords import policy
from services.auth.passwords.errors import (
    CommonPassword,
    PasswordNamesYou,
    PasswordsDiffer,
    PasswordTooLong,
    PasswordTooShort,
)

pytestmark = pytest.mark.goal("sec-A5")
WORDS = ("kari.nordmann@example.no", "Eksempelforbundet", "knordmann")


def refused(password: str, *words: str) -> type[Refusal] | None:
    try:
        policy.require_good(password, words)
    except Refusal as refusal:
        return type(refusal)
    return None


@pytest.mark.parametrize(
    "password",
    [
        "fire blåbær under ei bru",
        "739104628105739",
        "ÆØÅæøå-ßıİ-世界你好-🦊🐻",
        "                correct",
        "aldri\tmer \u202e noe",
        "Ω" * 3 + "hest batteri stift klemme",
        "a1!" + "hest batteri stift klemme" * 40,
    ],
)
def test_any_characters_are_taken(password: str) -> None:
    assert refused(password, *WORDS) is None


def test_the_least_length_is_15_characters_however_they_are_typed() -> None:
    typed = unicodedata.normalize("NFD", "åæø ÅÆØ éèê 123")
    assert len(policy.normalise(typed)) == 15 < len(typed)
    assert refused(typed) is None
    assert refused(typed[:-1]) is PasswordTooShort


def test_the_greatest_length_is_1024_bytes_and_nothing_is_cut() -> None:
    longest = "".join(chr(0x4E00 + n) for n in range(341)) + "a"
    assert len(longest.encode()) == 1_024
    assert refused(longest) is None
    assert refused(longest + "b") is PasswordTooLong


def test_there_are_more_than_20_000_common_ones() -> None:
    assert len(policy.common()) >= 20_000


@pytest.mark.parametrize(
    "password",
    [
        "123456789987654321",
        "QwErTy123456789",
        "passwordpassword",
        "Password1234567890",
        "!!!!!!!!password!!!!!!!!",
        "password123password123",
        "letmeinletmeinletm",
        "aaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        "12 12 12 12 12 12 12",
        "1234567890123456",
        "................",
    ],
)
def test_a_common_one_is_refused_also_repeated_or_padded(password: str) -> None:
    assert refused(password) is CommonPassword


@pytest.mark.parametrize(
    "password",
    [
        "kari.nordmann@example.no",
        "Kari.Nordmann@EXAMPLE.no1!",
        "eksempelforbundet2026",
        "EksempelForbundet-eksempelforbundet",
        "knordmann-knordmann!!",
        "eksempelforbundetpassword",
        "nordmann.kari.1984",
    ],
)
def test_what_others_know_of_a_person_is_no_password(password: str) -> None:
    assert refused(password, *WORDS) in {PasswordNamesYou, CommonPassword}
    assert refused(password, *WORDS) is PasswordNamesYou or refused(password) is CommonPassword


@pytest.mark.parametrize("password", ["kari liker brune boller", "eksempelforbundet har kjeks i skapet"])
def test_a_name_among_other_words_is_no_harm(password: str) -> None:
    assert refused(password, *WORDS) is None


@pytest.mark.rule("U8")
def test_two_that_differ_are_refused_and_two_ways_to_type_the_same_are_not() -> None:
    policy.require_same("blåbær", unicodedata.normalize("NFD", "blåbær"))
    with pytest.raises(PasswordsDiffer):
        policy.require_same("blåbær", "blåbær ")


@given(st.text(max_size=1_100), st.lists(st.text(max_size=20), max_size=3))
def test_whatever_is_typed_is_taken_or_refused_with_a_reason(password: str, words: list[str]) -> None:
    known = {None, PasswordTooShort, PasswordTooLong, CommonPassword, PasswordNamesYou}
    assert refused(password, *words) in known
