"""What auth declines; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class WrongCode(Refusal):
    """The code is wrong, used, or too old.

    Check that it is the newest code in the e-mail with this reference, or ask for a new one.
    """

    kind = Kind.FORBIDDEN


class TooManyTries(Refusal):
    """Too many codes have been tried.

    Wait a while, then ask for a new code.
    """

    kind = Kind.TOO_MANY


class NotLoggedIn(Refusal):
    """You are not logged in.

    Ask for a code to log in.
    """

    kind = Kind.UNAUTHENTICATED


class AddressTaken(Refusal):
    """A user with this e-mail already exists."""

    kind = Kind.CONFLICT


class NoSuchAccount(Refusal):
    """No user has this id."""

    kind = Kind.MISSING


class WrongAddress(Refusal):
    """This is not an e-mail address.

    Check the spelling: a name, an @ and a domain, without spaces.
    """

    kind = Kind.UNPROCESSABLE


class WrongLanguage(Refusal):
    """Nobody is written to in this language.

    Choose nb, nn or en.
    """

    kind = Kind.UNPROCESSABLE
