"""Rendering: write a mail in the language of its reader, whole or not at all."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_string, policy
from email.headerregistry import Address
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2
from babel.dates import format_date

from chassis.texts import Language, Texts

NORWAY = ZoneInfo("Europe/Oslo")
CLOCK = {
    Language.NB: "kl.\N{NO-BREAK SPACE}%H.%M",
    Language.NN: "kl.\N{NO-BREAK SPACE}%H.%M",
    Language.EN: "%H:%M",
}

LOCALES = {Language.NB: "nb", Language.NN: "nn", Language.EN: "en_GB"}


class TemplateError(Exception):
    """A mail cannot be written: says which template, in which language, and what is missing."""

    def __init__(self, template: str, language: Language, reason: str | None) -> None:
        """Name the failure; the reason never quotes a value, for values are people's data."""
        super().__init__(f"template {template!r} in {language.value!r}: {reason}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail as its reader sees it; only the subject shows in a `repr`, for it holds no secret."""

    language: Language
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


class Renderer:
    """The templates of one folder in every language, all compiled when it is made.

    A mail `x` is three files: `x.subject.txt`, `x.txt` and `x.html`.
    """

    def __init__(self, folder: Path, texts: Texts) -> None:
        """Compile every template; a broken one raises Jinja's error with its file and line."""
        self._environments = {language: _environment(folder, texts, language) for language in Language}

    def render(self, template: str, language: Language, values: Mapping[str, object]) -> Rendered:
        """Write the mail; raise `TemplateError` for an unknown template or a value it lacks.

        A value that is `None` counts as lacking. Templates also see `language`.
        """
        environment = self._environments[language]
        known = {name: value for name, value in values.items() if value is not None}
        known["language"] = language.value

        def part(suffix: str) -> str:
            return environment.get_template(f"{template}.{suffix}").render(known)

        try:
            subject = part("subject.txt").strip()
            text, html = _without_gaps(part("txt")), part("html")
        except jinja2.TemplateNotFound as error:
            raise TemplateError(template, language, f"no file {error.name!r}") from error
        except jinja2.UndefinedError as error:
            raise TemplateError(template, language, error.message) from error
        if not subject or _has_control_character(subject):
            raise TemplateError(template, language, "the subject is not one line of text")
        return Rendered(language, subject, text, html)


def _environment(folder: Path, texts: Texts, language: Language) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=jinja2.select_autoescape(["html"], default=False),
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
        lstrip_blocks=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    # The extension adds this method at run time, out of the type checker's sight.
    install = environment.install_gettext_callables  # type: ignore[attr-defined]
    choose = texts.ngettext(language)
    # `int` lets a count that is missing fail as every missing value does, by its name.
    install(texts.gettext(language), lambda one, many, count: choose(one, many, int(count)), newstyle=True)
    environment.filters["clock"] = partial(_clock, language)
    environment.filters["day"] = partial(_day, language)
    for name in environment.list_templates():
        environment.get_template(name)
    return environment


def _clock(language: Language, time: datetime) -> str:
    """Write the time as a clock in Norway shows it, the way people write it in the language."""
    return _aware(time).astimezone(NORWAY).strftime(CLOCK[language])


def _day(language: Language, time: datetime) -> str:
    """Write the day on which a time falls in Norway, the way people write it in the language."""
    return format_date(_aware(time).astimezone(NORWAY), "long", locale=LOCALES[language])


def _without_gaps(text: str) -> str:
    """Drop the holes that template tags leave on lines of their own."""
    return re.sub(r"\n[ \t]*(?:\n[ \t]*)+\n", "\n\n", text).strip() + "\n"


def compose(  # noqa: PLR0913 -- each is a header of its own, named at the call.
    rendered: Rendered,
    *,
    organisation: str,
    sender: str,
    recipient: str,
    message_id: str,
    date: datetime,
) -> EmailMessage:
    """Make the message to send: text and HTML, in seven bits, from the organisation to one address.

    Addresses are plain ASCII (a domain with other letters in its `xn--` form), the id has its angle
    brackets, the date is aware. A header that would not be read as it was meant raises `ValueError`,
    which names the header and never quotes it.
    """
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = Address(_line("From", organisation), addr_spec=_address("From", sender))
    message["To"] = _address("To", recipient)
    message["Subject"] = _line("Subject", rendered.subject)
    message["Date"] = _aware(date)
    message["Message-ID"] = _matching(_MESSAGE_ID, "Message-ID", message_id)
    message["Auto-Submitted"] = "auto-generated"
    _refuse_second_mailbox(message, sender)
    message.set_content(rendered.text, cte="quoted-printable")
    message.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    # Set last: adding the second part moves the content headers of the whole to the first.
    message["Content-Language"] = rendered.language.value
    return message


_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_DOMAIN = r"(?=[^>]{1,253}>?$)[a-z0-9-]+(?:\.[a-z0-9-]+)*"
_ADDRESS = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_DOMAIN}", re.ASCII | re.IGNORECASE)
_MESSAGE_ID = re.compile(rf"<(?=.{{1,128}}@){_ATOM}(?:\.{_ATOM})*@{_DOMAIN}>", re.ASCII | re.IGNORECASE)


def _address(header: str, value: str) -> str:
    return _matching(_ADDRESS, header, value)


def _matching(pattern: re.Pattern[str], header: str, value: str) -> str:
    if not pattern.fullmatch(_line(header, value)):
        reason = f"{header}: not of the form local@domain in plain ASCII"
        raise ValueError(reason)
    return value


def _line(header: str, value: str) -> str:
    if _has_control_character(value):
        reason = f"{header}: control characters are refused"
        raise ValueError(reason)
    return value


def _has_control_character(text: str) -> bool:
    """Tell whether text has control characters, line separators or halves of surrogate pairs."""
    return any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text)


def _aware(time: datetime) -> datetime:
    if time.utcoffset() is None:
        reason = "a time needs its offset from UTC"
        raise ValueError(reason)
    return time


def _refuse_second_mailbox(message: EmailMessage, sender: str) -> None:
    """Refuse a name that folding would turn into addresses: Python 3.11 drops its quotes then."""
    written = message_from_string(message["From"].fold(policy=policy.SMTP), policy=policy.SMTP)
    if [mailbox.addr_spec for mailbox in written["From"].addresses] != [sender]:
        reason = "From: the organisation's name is too long for its punctuation"
        raise ValueError(reason)
