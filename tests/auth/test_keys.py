"""Keys: what is digested for one use says nothing in another; and chance is chance."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.auth.keys import ALPHABET, Keys, Secrets
from tests.auth.world import CODE_KEY

KEYS = Keys(CODE_KEY)
PARTS = st.lists(st.text(), min_size=1, max_size=3)


def test_a_digest_is_of_its_key_its_use_and_its_parts() -> None:
    other = Keys(SecretStr(base64.b64encode(b"o" * 32).decode()))
    digests = {
        KEYS.digest("code", "a", "b"),
        KEYS.digest("code", "b", "a"),
        KEYS.digest("session", "a", "b"),
        other.digest("code", "a", "b"),
    }
    assert len(digests) == 4
    assert {len(digest) for digest in digests} == {32}
    assert KEYS.digest("code", "a", "b") in digests


@given(PARTS, PARTS)
def test_parts_that_are_cut_elsewhere_give_another_digest(one: list[str], other: list[str]) -> None:
    assert (KEYS.digest(*one) == KEYS.digest(*other)) == (one == other)


@pytest.mark.goal("sec-A1")
def test_a_code_is_six_digits_with_its_leading_zeros() -> None:
    codes = [Secrets().code() for _ in range(2_000)]
    assert all(len(code) == 6 and code.isascii() and code.isdigit() for code in codes)
    assert {code[0] for code in codes} == set("0123456789")
    assert len(set(codes)) > 1_900


def test_a_reference_is_easily_read_aloud() -> None:
    references = {Secrets().reference() for _ in range(200)}
    assert not set("0O1I2Z5S8B") & set(ALPHABET)
    assert all(re.fullmatch(f"[{ALPHABET}]{{4}}", reference) for reference in references)
    assert len(references) > 190


def test_a_token_has_256_bits_and_fits_the_cookie() -> None:
    tokens = {Secrets().token() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(base64.urlsafe_b64decode(token + "=")) for token in tokens} == {32}


def test_a_key_does_not_show_itself() -> None:
    assert "k" * 8 not in repr(KEYS)
    assert CODE_KEY.get_secret_value() not in repr(KEYS)
