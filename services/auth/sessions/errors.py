"""What is declined about sessions; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NotLoggedIn(Refusal):
    """You are not logged in.

    Ask for a code to log in.
    """

    kind = Kind.UNAUTHENTICATED
