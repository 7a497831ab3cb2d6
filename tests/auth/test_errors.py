"""What auth declines is said in the person's language."""

import inspect

import pytest

from chassis.errors import Refusal
from chassis.problems import text_of
from chassis.texts import Language, Texts
from services.auth.__main__ import SERVICE
from services.auth.identity_links import words
from services.auth.identity_providers import pages
from tests.auth.rooms import modules

REFUSALS = [
    found
    for module in modules("errors")
    for _, found in inspect.getmembers(module, inspect.isclass)
    if issubclass(found, Refusal) and found.__module__ == module.__name__
]
SAID = (pages.AGAIN, *words.ALL)
"""What else is said to people here."""
TEXTS = Texts(SERVICE.folder / "locales")


def test_there_are_refusals_to_be_translated() -> None:
    assert len(REFUSALS) >= 5


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_is_translated_line_by_line(refusal: type[Refusal]) -> None:
    text = text_of(refusal)
    said = [TEXTS.gettext(language)(text) for language in (Language.NB, Language.NN)]
    assert len({text, *said}) == 3
    assert {words.count("\n\n") for words in said} == {text.count("\n\n")}
    assert TEXTS.gettext(Language.EN)(text) == text


@pytest.mark.parametrize("text", SAID)
def test_what_else_is_said_is_translated(text: str) -> None:
    assert len({text, *(TEXTS.gettext(language)(text) for language in (Language.NB, Language.NN))}) == 3


@pytest.mark.parametrize("language", ["nb", "nn"])
def test_nothing_is_translated_that_is_no_longer_said(language: str) -> None:
    catalogue = (SERVICE.folder / "locales" / f"{language}.po").read_text(encoding="utf-8")
    assert catalogue.count("\nmsgid ") == len(REFUSALS) + len(SAID) + 1  # The first is the header.
