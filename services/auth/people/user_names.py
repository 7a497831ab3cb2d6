"""User names: shown as they were typed, compared without case, width and outer spaces (L1)."""

import unicodedata
from typing import NewType

from services.auth.people.addresses import Address, normalise
from services.auth.people.errors import WrongAddress, WrongUserName

UserNameKey = NewType("UserNameKey", str)
Login = NewType("Login", str)
"""What somebody logs in with, as it is compared: an address where it has an @, else the key of a user name."""

LONGEST = 100
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def key_of(text: str) -> UserNameKey:
    """Give a user name as it is compared; raises `WrongUserName` for one that nobody may have.

    None has an @, so that a user name is never taken for an address, nor one for the other.
    """
    key = _folded(text)
    if not key or max(len(key), len(text.strip())) > LONGEST or "@" in key:
        raise WrongUserName
    if any(unicodedata.category(character) in _UNSEEN for character in text.strip()):
        raise WrongUserName
    return UserNameKey(key)


def choose(text: str | None, address: Address) -> tuple[str, UserNameKey] | None:
    """Give a user name with its key, or None for who logs in with the address; raises `WrongUserName`."""
    if text is None or not text.strip() or str(read_login(text)) == address:
        return None
    return text.strip(), key_of(text)


def read_login(text: str) -> Login:
    """Read what somebody logs in with; what is no address and no user name is read too, and is nobody's."""
    key = _folded(text)
    if "@" in key:
        try:
            return Login(normalise(text))
        except WrongAddress:  # Where somebody logs in nothing is said about what an address is.
            return Login(key)
    return Login(key)


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).strip()
