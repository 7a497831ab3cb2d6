"""Everybody is told in the own language, and a catalogue that is wrong is found before anybody reads it."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.texts import LONGEST_HEADER, CatalogueError, Language, Texts, choose_language

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
WELCOME = 'msgid "Welcome, %(name)s"\nmsgstr "Velkommen, %(name)s"\n'


def texts_of(folder: Path, nb: str, nn: str = "") -> Texts:
    (folder / "nb.po").write_text(HEADER + nb, encoding="utf-8")
    (folder / "nn.po").write_text(HEADER + nn, encoding="utf-8")
    return Texts(folder)


def test_a_text_is_said_in_the_language_with_its_values(tmp_path: Path) -> None:
    texts = texts_of(tmp_path, WELCOME)
    assert texts.say("Welcome, %(name)s", Language.NB, name="Ærlig") == "Velkommen, Ærlig"
    assert texts.say("Welcome, %(name)s", Language.EN, name="Ærlig") == "Welcome, Ærlig"


@pytest.mark.parametrize("nn", ["", 'msgid "Welcome, %(name)s"\nmsgstr ""\n'])
def test_a_missing_or_empty_translation_falls_back_to_english(tmp_path: Path, nn: str) -> None:
    texts = texts_of(tmp_path, WELCOME, nn)
    assert texts.say("Welcome, %(name)s", Language.NN, name="Kari") == "Welcome, Kari"


def test_one_and_many_are_told_apart(tmp_path: Path) -> None:
    plural = (
        'msgid "one minute"\nmsgid_plural "%(num)s minutes"\nmsgstr[0] "ett minutt"\nmsgstr[1] "%(num)s minutter"\n'
    )
    ngettext = texts_of(tmp_path, plural).ngettext(Language.NB)
    assert ngettext("one minute", "%(num)s minutes", 1) == "ett minutt"
    assert ngettext("one minute", "%(num)s minutes", 2) == "%(num)s minutter"


def test_a_value_that_the_text_lacks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="name"):
        texts_of(tmp_path, WELCOME).say("Welcome, %(name)s", Language.NB)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (f"#, fuzzy\n{WELCOME}", r"nb\.po:6: 'Welcome.*fuzzy"),
        ('msgid "a\nmsgstr "b"\n', r"nb\.po:5: not a line"),
        ("rubbish\n", r"nb\.po:5: not a line"),
        ('msgid "a"\n\nmsgid "b"\nmsgstr "c"\n', r"nb\.po:.*missing msgstr.*'a'"),
        ('msgid "a"\nmsgstr "%(b)s"\n', r"nb\.po:5: 'a': the placeholders"),
        ('msgid "%(a)s"\nmsgstr "b"\n', r"nb\.po:5: .*the placeholders"),
        ('msgid "a"\nmsgstr "100 % b"\n', r"nb\.po:5: 'a': the placeholders"),
        (
            'msgid "a"\nmsgid_plural "%(n)s"\nmsgstr[0] "b"\nmsgstr[1] "%(x)s"\n',
            r"nb\.po:5: .*the placeholders",
        ),
    ],
)
def test_a_broken_catalogue_fails_at_load_and_is_told_where(tmp_path: Path, broken: str, told: str) -> None:
    with pytest.raises(CatalogueError, match=told):
        texts_of(tmp_path, broken)


def test_a_broken_plural_rule_fails_at_load(tmp_path: Path) -> None:
    rule = '"Plural-Forms: nplurals=2; plural=(n !=;\\n"\n'
    (tmp_path / "nb.po").write_text(HEADER.strip() + "\n" + rule, encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"nb\.po: Plural-Forms"):
        Texts(tmp_path)


@pytest.mark.parametrize(
    "field", ["Content-Type: text/plain; charset=none", "Plural-Forms: nplurals=x", "PO-Revision-Date: never"]
)
def test_a_field_of_the_header_that_cannot_be_read_fails_at_load(tmp_path: Path, field: str) -> None:
    (tmp_path / "nb.po").write_text(f'msgid ""\nmsgstr ""\n"{field}\\n"\n\nmsgid "a"\nmsgstr "b"\n', encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"nb\.po: "):
        Texts(tmp_path)


def test_a_missing_catalogue_and_one_that_is_not_utf_8_are_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"nb\.po: cannot be read"):
        Texts(tmp_path)
    (tmp_path / "nb.po").write_bytes('msgid "a"\nmsgstr "å"\n'.encode("latin-1"))
    with pytest.raises(CatalogueError, match=r"nb\.po: cannot be read"):
        Texts(tmp_path)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "nn"),
        ("", "nn"),
        ("nb", "nb"),
        ("no", "nb"),
        ("NO-no", "nb"),
        ("nb-NO,nb;q=0.9,no;q=0.8,nn;q=0.7,en;q=0.6", "nb"),
        ("en-GB, nb;q=0.5", "en"),
        ("en;q=0.4, nb;q=0.5", "nb"),
        ("en;q=0.5 , nb ; q=0.5", "en"),
        ("en-US;q=0.2, en;q=0.9, nb;q=0.5", "en"),
        ("da, sv;q=0.9", "nn"),
        ("da, en;q=0.1", "en"),
        ("*", "nn"),
        ("*, en", "en"),
        ("*;q=0.9, en;q=0.5", "nn"),
        ("nn;q=0, *", "nb"),
        ("nn;q=0", "nn"),
        ("nn;q=0, nb;q=0, en;q=0", "nn"),
        ("en;q=2, nb;q=0.1", "nb"),
        ("en;q=, nb;q=0.1", "nb"),
        ("en;level=1, nb;q=0.1", "nb"),
        ("\N{KELVIN SIGN}, ,;;q, nb", "nb"),
        ("en" + " " * LONGEST_HEADER, "nn"),
    ],
)
def test_the_language_is_the_one_wanted_most(header: str | None, chosen: str) -> None:
    assert choose_language(header, Language.NN).value == chosen


@given(st.text() | st.text(alphabet="nboe*-;q=.,019 \t"), st.sampled_from(Language))
@example("a-" * (LONGEST_HEADER // 2), Language.NB)
def test_no_header_stops_the_choice(header: str, default: Language) -> None:
    assert choose_language(header, default) in Language
