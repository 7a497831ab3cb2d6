"""Texts: tell a person in the person's own language; where a translation is missing, in English."""

import gettext
import io
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po

LONGEST_HEADER = 1_000


class Language(StrEnum):
    """The languages that people are written to in, as BCP 47 and gettext name them."""

    NB = "nb"
    NN = "nn"
    EN = "en"


class CatalogueError(Exception):
    """A translation file cannot be used: says which file, which line or message, and why."""


class Texts:
    """The translations of one folder, read once; msgids are English and need no catalogue.

    The folder holds `nb.po` and `nn.po`. Placeholders are written `%(name)s`, a percent sign `%%`.
    """

    def __init__(self, folder: Path) -> None:
        """Compile the folder's catalogues in memory; raise `CatalogueError` when one is unusable."""
        self._translations: dict[Language, gettext.NullTranslations] = {
            language: gettext.NullTranslations() if language is Language.EN else _compile(folder / f"{language}.po")
            for language in Language
        }

    def say(self, msgid: str, language: Language, **values: object) -> str:
        """Give the text with its values put in; a value that the text names and lacks: `KeyError`."""
        return self.gettext(language)(msgid) % values

    def gettext(self, language: Language) -> Callable[[str], str]:
        """Give the look-up that Jinja's i18n extension installs (`newstyle=True`)."""
        return self._translations[language].gettext

    def ngettext(self, language: Language) -> Callable[[str, str, int], str]:
        """Give the look-up of texts that come in one and many, for the same extension."""
        return self._translations[language].ngettext


def _compile(path: Path) -> gettext.GNUTranslations:
    catalogue = _read(path)
    for message in catalogue:
        if message.id:
            _check(message, path)
    compiled = io.BytesIO()
    try:
        write_mo(compiled, catalogue)
        compiled.seek(0)
        return gettext.GNUTranslations(compiled)
    except (ValueError, LookupError) as error:
        reason = f"{path}: Plural-Forms or charset: {error}"
        raise CatalogueError(reason) from error


# Babel takes a line whose quotes do not match for an empty one, and the message is lost.
_LINE = re.compile(r"""\s*(?:\#.*|(?:msg(?:ctxt|id|id_plural|str(?:\[\d\])?)\s+)?"(?:[^"\\]|\\.)*"\s*)?""")


def _read(path: Path) -> Catalog:
    try:
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            if not _LINE.fullmatch(line):
                reason = f"{path}:{number}: not a line of a catalogue"
                raise CatalogueError(reason)
        return read_po(io.StringIO(text), locale=path.stem, abort_invalid=True)
    except (OSError, UnicodeDecodeError) as error:
        reason = f"{path}: cannot be read: {error}"
        raise CatalogueError(reason) from error
    except PoFileError as error:
        # Babel counts lines from zero and puts the number last.
        reason = f"{path}:{error.lineno + 1}: {str(error).rpartition(' on ')[0]}"
        raise CatalogueError(reason) from error
    except (ValueError, LookupError) as error:
        reason = f"{path}: a field of its header cannot be read: {error}"
        raise CatalogueError(reason) from error


def _check(message: Message, path: Path) -> None:
    where = f"{path}:{message.lineno}: {message.id!r}"
    if message.fuzzy:
        reason = f"{where} is marked fuzzy: confirm the translation and remove the mark"
        raise CatalogueError(reason)
    names = _placeholders(*_forms(message.id))
    for translation in filter(None, _forms(message.string)):
        # The form for one may say "one" in place of the number.
        complete = message.pluralizable or _placeholders(translation) == names
        if not (complete and _fits(translation, names)):
            reason = f"{where}: the placeholders of the translation differ"
            raise CatalogueError(reason)


def _forms(text: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def _placeholders(*texts: str) -> set[str]:
    return {name for text in texts for name in re.findall(r"%\((\w+)\)", text)}


def _fits(translation: str, names: set[str]) -> bool:
    try:
        _ = translation % dict.fromkeys(names, 0)
    except (KeyError, TypeError, ValueError):
        return False
    return True


_RANGE = re.compile(
    r"(?P<tag>\*|[a-z]{1,8})(?:-[a-z0-9]{1,8})*"
    r"(?:[ \t]*;[ \t]*q=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?",
    re.ASCII | re.IGNORECASE,
)
_NAMES = {language.value: language for language in Language} | {"no": Language.NB}


def choose_language(accept_language: str | None, default: Language) -> Language:
    """Choose by an `Accept-Language` header (RFC 9110, 12.5.4); `no` is taken for Bokmål.

    The highest weight wins, the first of equals, and a language named before one meant by `*`.
    What cannot be understood is passed over, and a header longer than `LONGEST_HEADER` is not
    read. Where nothing that we speak is wanted, the default is better than silence.
    """
    if accept_language is None or len(accept_language) > LONGEST_HEADER:
        return default
    weights: dict[Language, float] = {}
    others = 0.0
    for part in accept_language.split(","):
        if not (match := _RANGE.fullmatch(part.strip(" \t"))):
            continue
        tag, weight = match["tag"].lower(), float(match["weight"] or 1)
        if tag == "*":
            others = weight
        elif language := _NAMES.get(tag):
            weights[language] = max(weight, weights.get(language, 0.0))
    for language in (default, *Language):
        weights.setdefault(language, others)
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] > 0 else default
