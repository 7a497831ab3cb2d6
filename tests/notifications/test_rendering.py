"""A mail is written in its reader's language, whole or not at all, and says the code only where it should."""

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import jinja2
import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from chassis.texts import Language, Texts
from services.notifications.rendering import Rendered, Renderer, TemplateError, compose

SERVICE = Path(__file__).parents[2] / "services" / "notifications"
TEXTS = Texts(SERVICE / "locales")
RENDERER = Renderer(SERVICE / "templates", TEXTS)
VALUES: Mapping[str, object] = {
    "code": "482913",
    "reference": "K7M4",
    "address": "kari.nordmann@firma.example",
    "expires_at": datetime(2026, 1, 23, 13, 5, tzinfo=UTC),
    "minutes": 10,
    "sender_name": "Synthetic Union",
    "sender_address": "noreply@union.example",
    "support": {"email": "help@union.example", "phone": "00 00 00 00"},
}
every_language = pytest.mark.parametrize("language", Language)


def renderer_of(folder: Path, **parts: str) -> Renderer:
    """Make a renderer of one mail, `note`; its parts are plain unless given."""
    for suffix in ("subject_txt", "txt", "html"):
        name = "note." + suffix.replace("_", ".")
        (folder / name).write_text(parts.get(suffix, "plain"), encoding="utf-8")
    return Renderer(folder, TEXTS)


def visible(page: str) -> str:
    """Give what is left of a page without its style sheet and tags: what a preview may show."""
    bare = re.sub(r"<(style|title)>.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(bare).split())


@every_language
def test_the_code_stands_in_both_parts_and_in_one_piece(language: Language) -> None:
    mail = RENDERER.render("login_code", language, VALUES)
    assert mail.text.count("482913") == 1
    assert mail.html.count(">482913<") == mail.html.count("482913") == 1


@every_language
def test_a_locked_screen_shows_the_reference_and_not_the_code(language: Language) -> None:
    mail = RENDERER.render("login_code", language, VALUES)
    assert "K7M4" in mail.subject
    assert "482913" not in mail.subject + repr(mail)
    for preview in (mail.text, visible(mail.html)):
        assert "482913" not in preview[:150]
        assert preview.index("K7M4") < preview.index("482913")


@pytest.mark.rule("G2", "G4", "G5")
@pytest.mark.parametrize(
    ("language", "asked", "several"),
    [
        ("nb", "Ba du ikke om en kode?", "Har du bedt om flere, virker alle som ikke er utløpt."),
        ("nn", "Bad du ikkje om ein kode?", "verkar alle som ikkje har gått ut."),
        ("en", "Did you not ask for a code?", "every code that has not expired works."),
    ],
)
def test_both_parts_say_whose_code_it_is_which_one_counts_and_where_help_is(
    language: str, asked: str, several: str
) -> None:
    mail = RENDERER.render("login_code", Language(language), VALUES)
    for part in (mail.text, visible(mail.html).replace("\N{NO-BREAK SPACE}", " ")):
        assert asked in part
        assert several in part
        for value in ("kari.nordmann@firma.example", "noreply@union.example", "Synthetic Union"):
            assert value in part
        assert "help@union.example" in part
        assert "00 00 00 00" in part


@pytest.mark.parametrize(
    ("language", "subject", "clock"),
    [
        ("nb", "Engangskoden din (referanse K7M4)", "Gyldig til kl. 14.05"),
        ("nn", "Eingongskoden din (referanse K7M4)", "Gyldig til kl. 14.05"),
        ("en", "Your one-time code (reference K7M4)", "Valid until 14:05 Norwegian time"),
    ],
)
def test_each_language_has_its_own_words_and_its_own_clock(language: str, subject: str, clock: str) -> None:
    mail = RENDERER.render("login_code", Language(language), VALUES)
    assert (mail.language, mail.subject) == (language, subject)
    assert f'<html lang="{language}"' in mail.html
    assert clock in mail.text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_clock_follows_summer_time() -> None:
    summer = {**VALUES, "expires_at": datetime(2026, 7, 23, 13, 5, tzinfo=UTC)}
    assert "15:05" in RENDERER.render("login_code", Language.EN, summer).text


def test_a_time_without_its_offset_is_refused() -> None:
    naive = {**VALUES, "expires_at": datetime(2026, 7, 23, 13, 5)}  # noqa: DTZ001 -- that is what is tried.
    with pytest.raises(ValueError, match="offset"):
        RENDERER.render("login_code", Language.EN, naive)


def test_one_minute_is_said_in_the_singular() -> None:
    text = RENDERER.render("login_code", Language.NB, {**VALUES, "minutes": 1}).text
    assert "ett minutt." in text


@every_language
@pytest.mark.parametrize("name", VALUES)
def test_a_missing_value_is_named_with_the_template_and_the_language(name: str, language: Language) -> None:
    told = f"template 'login_code' in '{language.value}': '{name}' is undefined"
    without = {key: value for key, value in VALUES.items() if key != name}
    for values in (without, {**VALUES, name: None}):
        with pytest.raises(TemplateError, match=re.escape(told)):
            RENDERER.render("login_code", language, values)


def test_a_missing_part_of_a_value_is_named_and_no_value_is_quoted() -> None:
    values = {**VALUES, "support": {"email": "help@union.example"}}
    with pytest.raises(TemplateError, match="no attribute 'phone'") as failure:
        RENDERER.render("login_code", Language.NB, values)
    assert "help@union.example" not in str(failure.value)


@pytest.mark.parametrize("name", ["farewell", "../templates/login_code", ""])
def test_an_unknown_template_is_named(name: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(f"{name!r} in 'nb': no file")):
        RENDERER.render(name, Language.NB, VALUES)


def test_a_template_with_a_mistake_is_found_when_the_folder_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(jinja2.TemplateSyntaxError, match="Unexpected end of template") as failure:
        renderer_of(tmp_path, txt="\n{% if name %}")
    assert (failure.value.name, failure.value.lineno) == ("note.txt", 2)


def test_values_are_escaped_in_html_and_there_alone(tmp_path: Path) -> None:
    mark = "{{ name }} {% trans %}{{ name }}{% endtrans %}"
    renderer = renderer_of(tmp_path, subject_txt=mark, txt=mark, html=mark)
    mail = renderer.render("note", Language.NB, {"name": "<b> & Æ"})
    assert mail.subject == mail.text.strip() == "<b> & Æ <b> & Æ"
    assert mail.html == "&lt;b&gt; &amp; Æ &lt;b&gt; &amp; Æ"


@pytest.mark.parametrize("name", ["a\r\nBcc: b@c.example", "a\nb", "a\x00b", "a\u2028b", "\n"])
def test_a_subject_that_is_not_one_line_is_refused(tmp_path: Path, name: str) -> None:
    renderer = renderer_of(tmp_path, subject_txt="{{ name }}")
    with pytest.raises(TemplateError, match="not one line"):
        renderer.render("note", Language.NB, {"name": name})


MAIL = RENDERER.render("login_code", Language.NB, VALUES)
SENT_AT = datetime(2026, 1, 23, 13, 5, tzinfo=UTC)
SENDER, RECIPIENT, MESSAGE_ID = "noreply@union.example", "kari.nordmann@firma.example", "<1f0c.2@union.example>"


def composed(rendered: Rendered = MAIL, **changes: Any) -> EmailMessage:
    headers = {"sender": SENDER, "recipient": RECIPIENT, "message_id": MESSAGE_ID, "date": SENT_AT}
    return compose(rendered, **{"organisation": "Synthetic Union", **headers, **changes})


@pytest.mark.parametrize("organisation", ["Virke", "Ærlig, Øl & Åpenhet", 'Say "hi", <b>', "Bjørk " * 20 + "AS"])
def test_a_mail_survives_the_wire_in_seven_bits(organisation: str) -> None:
    wire = bytes(composed(organisation=organisation))
    assert wire.isascii()
    assert max(map(len, wire.splitlines())) <= 78
    mail = message_from_bytes(wire, policy=policy.default)
    # The newer parser puts a space between two encoded words, where none belongs; the older one reads them right.
    name, address = parseaddr(message_from_bytes(wire)["From"])
    assert (str(make_header(decode_header(name))), address) == (organisation, SENDER)
    assert (mail["To"], mail["Subject"], mail["Message-ID"]) == (RECIPIENT, MAIL.subject, MESSAGE_ID)
    assert mail["Date"].datetime == SENT_AT
    assert (mail["Auto-Submitted"], mail["Content-Language"]) == ("auto-generated", "nb")
    assert mail.get_content_type() == "multipart/alternative"
    text, page = mail.iter_parts()
    assert (text.get_content_type(), text.get_content().splitlines()) == ("text/plain", MAIL.text.splitlines())
    assert (page.get_content_type(), page.get_content().splitlines()) == ("text/html", MAIL.html.splitlines())


CONTROLS = ["a\r\nBcc: c@d.example", "a\nb", "a\rb", "a\x00b", "a\x85b", "a\u2028b", "a\ud800b"]
PLACES = {"organisation": "{}", "sender": "{}@b.example", "recipient": "{}@b.example", "message_id": "<{}@b.example>"}


@pytest.mark.goal("sec-F8")
@pytest.mark.parametrize("bad", CONTROLS)
@pytest.mark.parametrize("place", PLACES)
def test_control_characters_in_a_header_are_refused_and_not_quoted(place: str, bad: str) -> None:
    with pytest.raises(ValueError, match=r"^(From|To|Message-ID): control characters are refused$"):
        composed(MAIL, **{place: PLACES[place].format(bad)})


@pytest.mark.goal("sec-F8")
@pytest.mark.parametrize("bad", CONTROLS)
def test_control_characters_in_a_subject_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"^Subject: control characters are refused$"):
        composed(rendered=Rendered(Language.NB, bad, "", ""))


LONG = "a" * 65 + "@b.example"
REFUSED = [
    "",
    "a",
    "a@",
    "@b.example",
    "a@b.example, c@d.example",
    "A <a@b.example>",
    "a b@c.example",
    ".a@b.example",
    "a@b..c",
]


@pytest.mark.goal("sec-F8")
@pytest.mark.parametrize("recipient", [*REFUSED, "bjørn@b.example", "a@blåbær.example", LONG])
def test_a_recipient_is_one_plain_address(recipient: str) -> None:
    with pytest.raises(ValueError, match=r"^To: not of the form"):
        composed(recipient=recipient)


@pytest.mark.parametrize("message_id", ["1@b.example", "<1>", "<1@b.example> <2@b.example>"])
def test_a_message_id_has_its_brackets_and_both_its_sides(message_id: str) -> None:
    with pytest.raises(ValueError, match=r"^Message-ID: not of the form"):
        composed(message_id=message_id)


def test_a_name_that_would_fall_apart_into_addresses_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^From: .*too long for its punctuation"):
        composed(organisation="Union of bakers, brewers, butchers, " * 4)


def test_a_date_without_its_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        composed(date=datetime(2026, 1, 23, 13, 5))  # noqa: DTZ001 -- that is what is tried.


def msgids_of(pattern: str) -> set[object]:
    """Give the msgids that the templates of a pattern use, in the form that a catalogue has them."""
    options = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
    found: set[object] = set()
    for path in (SERVICE / "templates").glob(pattern):
        with path.open("rb") as file:
            found.update(msgid for _, msgid, _, _ in extract("jinja2", file, options=options))
    return found


@pytest.mark.parametrize("language", ["nb", "nn"])
def test_a_catalogue_translates_every_text_of_the_templates_and_no_other(language: str) -> None:
    with (SERVICE / "locales" / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    assert {message.id for message in catalogue if message.id} == msgids_of("*")
    assert not [message.id for message in catalogue if not message.string or "" in tuple(message.string)]
    assert not catalogue.obsolete


@pytest.mark.parametrize("name", sorted(path.stem for path in (SERVICE / "templates").glob("*.html")))
def test_both_parts_of_a_mail_say_the_same(name: str) -> None:
    assert msgids_of(f"{name}.html") == (msgids_of(f"{name}.txt") if name != "parts" else set())
