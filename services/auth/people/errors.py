"""What is declined about people; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


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


class WrongUserName(Refusal):
    """This cannot be a user name.

    It has at most 100 visible characters and no @. Whoever has no user name logs in with the e-mail address.
    """

    kind = Kind.UNPROCESSABLE


class UserNameTaken(Refusal):
    """A user with this user name already exists."""

    kind = Kind.CONFLICT


class WrongName(Refusal):
    """This is not a full name.

    It must have 1 to 200 characters, none of them invisible.
    """

    kind = Kind.UNPROCESSABLE
