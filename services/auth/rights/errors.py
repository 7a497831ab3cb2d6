"""What is declined about rights; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NoSuchUser(Refusal):
    """Your organisation has no such user."""

    kind = Kind.MISSING


class NoSuchGroup(Refusal):
    """There are no such rights.

    See which ones there are in the list of rights.
    """

    kind = Kind.MISSING


class NotYoursToGrant(Refusal):
    """These rights are given by somebody else.

    You can order access, and those who give it decide.
    """

    kind = Kind.FORBIDDEN


class WrongKindOfOrganisation(Refusal):
    """These rights do not exist in an organisation of this kind."""

    kind = Kind.CONFLICT


class SupportMayNot(Refusal):
    """Support cannot change users or their rights.

    A superuser in the user's own organisation does that.
    """

    kind = Kind.FORBIDDEN


class OwnRights(Refusal):
    """Nobody gives rights to themselves.

    Ask another superuser of your organisation.
    """

    kind = Kind.FORBIDDEN


class LastSuperuser(Refusal):
    """This is the last superuser of the organisation.

    Make somebody else a superuser first.
    """

    kind = Kind.CONFLICT
