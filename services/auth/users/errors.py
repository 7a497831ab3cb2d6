"""What is declined about users; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class UserChanged(Refusal):
    """Somebody else has changed this user in the meantime.

    Changed: {changed}. Fetch the user again, look at what is new, and make your change once more.
    """

    kind = Kind.STALE


class NothingToChange(Refusal):
    """Nothing is said of what shall be changed."""

    kind = Kind.UNPROCESSABLE


class UnreadableFile(Refusal):
    """The first line of the file does not name its columns.

    It names address and, of these, those that there are: {columns}. Between them stand semicolons or commas.
    """

    kind = Kind.UNPROCESSABLE


class NoSuchDuplicate(Refusal):
    """No such duplicate waits to be cleared up."""

    kind = Kind.MISSING
