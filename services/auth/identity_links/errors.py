"""What is declined about links; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NothingToLink(Refusal):
    """There is no electronic ID to link.

    Log in with it first, in this browser. You then have fifteen minutes.
    """

    kind = Kind.MISSING


class NoSuchLink(Refusal):
    """Your account is not linked to this electronic ID."""

    kind = Kind.MISSING


class PasswordNeeded(Refusal):
    """Enter your password to remove the electronic ID."""

    kind = Kind.UNPROCESSABLE


class CodeNeeded(Refusal):
    """Your account has no password, so removing the electronic ID takes a code by e-mail.

    Ask for one, and enter it here.
    """

    kind = Kind.UNPROCESSABLE


class WrongMobile(Refusal):
    """This is not a mobile number.

    Write it with its country code, such as +47 and eight digits.
    """

    kind = Kind.UNPROCESSABLE
