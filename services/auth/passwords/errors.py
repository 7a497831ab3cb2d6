"""What is declined about passwords; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class WrongLogin(Refusal):
    """The user name or the password is wrong.

    After several wrong tries in a row you must wait 15 minutes before you try again or order a new password.
    """

    kind = Kind.FORBIDDEN


class WrongPassword(Refusal):
    """The password that you have now is another one.

    After several wrong tries in a row you must wait 15 minutes before you try again.
    """

    kind = Kind.FORBIDDEN


class TooManyPasswords(Refusal):
    """Too many wrong passwords have come from this network.

    Wait a while, or log in with a code by e-mail.
    """

    kind = Kind.TOO_MANY


class Busy(Refusal):
    """Too many are logging in just now.

    Try again in a few seconds.
    """

    kind = Kind.UNAVAILABLE


class PasswordsDiffer(Refusal):
    """The two passwords are not the same.

    Type the new password once more in both fields.
    """

    kind = Kind.UNPROCESSABLE


class PasswordTooShort(Refusal):
    """The password is too short.

    It needs {least} characters or more. Several words that you remember are easier than one that is hard.
    """

    kind = Kind.UNPROCESSABLE


class PasswordTooLong(Refusal):
    """The password is too long.

    It may take up {most} bytes at most: that many letters without accents, fewer of others.
    """

    kind = Kind.UNPROCESSABLE


class CommonPassword(Refusal):
    """Many use this password, or one that is hardly another.

    Those are tried first by whoever guesses. Choose something that nobody else would think of.
    """

    kind = Kind.UNPROCESSABLE


class PasswordNamesYou(Refusal):
    """The password is little more than a name that others know.

    Do not make it of your own name, your e-mail address or the name of an organisation.
    """

    kind = Kind.UNPROCESSABLE
