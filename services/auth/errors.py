"""What is declined about pages of lists; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class WrongCursor(Refusal):
    """This place in the list cannot be read.

    Begin at the start of the list, without a cursor.
    """

    kind = Kind.INVALID
