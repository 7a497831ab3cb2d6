"""What is declined about sessions and tokens; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NotLoggedIn(Refusal):
    """You are not logged in.

    Ask for a code to log in.
    """

    kind = Kind.UNAUTHENTICATED


class NoSuchSession(Refusal):
    """You have no open session of this id."""

    kind = Kind.MISSING


class NoSuchOrganisation(Refusal):
    """There is no organisation of this id that you may act for.

    Those who administer its users can give you access.
    """

    kind = Kind.MISSING
