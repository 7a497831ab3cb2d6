"""Addresses: each mailbox is written one way, and what is no address is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.auth.people.addresses import LONGEST, normalise
from services.auth.people.errors import WrongAddress


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("kari@example.no", "kari@example.no"),
        ("  Kari.Nordmann@EXAMPLE.no\t", "kari.nordmann@example.no"),
        ("kari+styret@example.no", "kari+styret@example.no"),
        ("kari@blåbær.example.no", "kari@xn--blbr-roah.example.no"),
        ("kari@BLÅBÆR.example.no", "kari@xn--blbr-roah.example.no"),
    ],
)
def test_an_address_is_written_one_way(typed: str, normal: str) -> None:
    assert normalise(typed) == normal


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "kari",
        "kari@",
        "@example.no",
        "kari@example",
        "kari@@example.no",
        "kari nordmann@example.no",
        "kåre@example.no",
        "kari@example.no, ola@example.no",
        "Kari <kari@example.no>",
        "kari@[192.0.2.1]",
        "kari\r\nBcc: ola@example.no",
        f"kari@{'k.' * 130}example.no",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(WrongAddress):
        normalise(typed)


@given(st.emails() | st.text())
@example("KARI@EXAMPLE.NO")
def test_a_normal_address_is_ascii_in_lower_case_and_stays_as_it_is(typed: str) -> None:
    try:
        normal = normalise(typed)
    except WrongAddress:
        return
    assert normal.isascii()
    assert normal == normal.lower() == normalise(normal)
    assert len(normal) <= LONGEST
