"""Names: what a person is called, and how a list of names is sorted and searched."""

import unicodedata
from typing import NewType

from services.auth.people.errors import WrongName

FullName = NewType("FullName", str)
LONGEST = 200
_LAST = str.maketrans({"æ": "{a", "ä": "{a", "ø": "{b", "ö": "{b", "å": "{c"})


def read_name(text: str) -> FullName:
    """Read a full name: NFC, single spaces, no control or bidi characters; raises `WrongName`."""
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not 1 <= len(name) <= LONGEST or any(
        unicodedata.category(each) in {"Cc", "Cf", "Co", "Cs", "Cn"} for each in name
    ):
        raise WrongName
    return FullName(name)


def sort_key(name: str) -> str:
    """Give the text by which a name is sorted and searched, in a database that compares code points: æ, ø and å last.

    It is no longer than a name: some letters fold into eighteen, which would fit neither an index nor a cursor.
    """
    return unicodedata.normalize("NFKC", name).casefold().translate(_LAST)[:LONGEST]
