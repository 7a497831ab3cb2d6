"""What is declined about codes; each docstring is what the person reads."""

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


class WrongLink(Refusal):
    """The link is wrong, used, or too old.

    Order new instructions, and use the newest e-mail.
    """

    kind = Kind.FORBIDDEN
