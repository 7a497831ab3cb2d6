"""What is declined about orders for access; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NoSuchOrder(Refusal):
    """No such order for access waits to be decided."""

    kind = Kind.MISSING


class TooManyOrders(Refusal):
    """Access has been ordered too many times from here.

    Wait an hour, then try again.
    """

    kind = Kind.TOO_MANY
