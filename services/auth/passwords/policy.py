"""Policy: which passwords are taken (sec-A5). Long ones, of any characters, that are not the first to be guessed."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

from services.auth.passwords.errors import (
    CommonPassword,
    PasswordNamesYou,
    PasswordsDiffer,
    PasswordTooLong,
    PasswordTooShort,
)

LEAST_CHARACTERS = 15
MOST_BYTES = 1_024
LEAST_OF_ONES_OWN = 8
"""So many characters must be left when the words that others know are taken out."""
SHORTEST_WORD = 3
SHORTEST_UNIT = 4
"""What repeats itself sooner is refused, whatever it is: `abcabcabcabcabc`."""
_PADDING = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_PARTS = re.compile(r"[^\W\d_]+")


def normalise(password: str) -> str:
    """Give a password in NFC, as it is hashed: the same however a keyboard makes its letters."""
    return unicodedata.normalize("NFC", password)


def require_same(password: str, confirmation: str) -> None:
    """Raise `PasswordsDiffer` where the two fields hold different passwords (U8)."""
    if normalise(password) != normalise(confirmation):
        raise PasswordsDiffer


def require_good(password: str, words: Iterable[str] = ()) -> None:
    """Raise the refusal that says why a password is not taken; `words` are those that others know of its person.

    Nothing is asked of what characters it is made, and it is never cut.
    """
    text = normalise(password)
    if len(text) < LEAST_CHARACTERS:
        raise PasswordTooShort(least=LEAST_CHARACTERS)
    if len(text.encode()) > MOST_BYTES:
        raise PasswordTooLong(most=MOST_BYTES)
    folded = text.casefold()
    if _is_common(folded):
        raise CommonPassword
    rest = _without(folded, words)
    if rest != folded and (len(rest) < LEAST_OF_ONES_OWN or _is_common(rest)):
        raise PasswordNamesYou


@cache
def common() -> frozenset[str]:
    """Give the 30,000 passwords that are used most, in lower case; read when first asked for, which only the api does."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 -- 14 MB that a worker need not carry.

    return frozenset(FREQUENCY_LISTS["passwords"])


def _is_common(text: str) -> bool:
    """Tell whether a password is common, or a common one again and again, or one with digits and signs around it."""
    return any(len(form) < SHORTEST_UNIT or form in common() for form in _forms(text))


def _forms(text: str) -> Iterator[str]:
    """Give a password and what is left of it when repetitions and what stands around it are taken away."""
    yield from (text, _unit(text))
    yield from (form for form in (_bare(text), _unit(_bare(text)), _bare(_unit(text))) if form)


def _bare(text: str) -> str:
    return _PADDING.sub("", text)


def _unit(text: str) -> str:
    """Give the shortest beginning that a text is made of, again and again, its last time perhaps not whole."""
    return next((text[:n] for n in range(1, len(text)) if text.startswith(text[n:])), text)


def _without(text: str, words: Iterable[str]) -> str:
    """Take out words and their parts, the longest first."""
    known = {part for word in words for part in _parts(normalise(word).casefold()) if len(part) >= SHORTEST_WORD}
    for word in sorted(known, key=lambda word: (-len(word), word)):
        text = text.replace(word, "")
    return text


def _parts(word: str) -> Iterator[str]:
    yield word
    yield from _PARTS.findall(word)
