"""What is declined about organisations, their users and rights; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NoSuchOrganisation(Refusal):
    """No organisation has this id."""

    kind = Kind.MISSING


class NumberTaken(Refusal):
    """An organisation with this number already exists."""

    kind = Kind.CONFLICT


class WrongNumber(Refusal):
    """This is not an organisation number.

    It has nine digits, of which the last follows from the others. Check that none was mistyped.
    """

    kind = Kind.UNPROCESSABLE


class WrongOrganisationName(Refusal):
    """This is not the name of an organisation.

    It must have 1 to 200 characters, none of them invisible.
    """

    kind = Kind.UNPROCESSABLE


class NotACustomer(Refusal):
    """This organisation is not a customer.

    Only the organisations of customers can be registered or changed from outside.
    """

    kind = Kind.FORBIDDEN


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


class OrganisationClosed(Refusal):
    """Nobody can be given rights in this organisation any more."""

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


class UserChanged(Refusal):
    """Somebody else has changed this user in the meantime.

    Changed: {changed}. Fetch the user again, look at what is new, and make your change once more.
    """

    kind = Kind.STALE


class NothingToChange(Refusal):
    """Nothing is said of what shall be changed."""

    kind = Kind.UNPROCESSABLE


class WrongCursor(Refusal):
    """This place in the list cannot be read.

    Begin at the start of the list, without a cursor.
    """

    kind = Kind.INVALID


class UnreadableFile(Refusal):
    """The first line of the file does not name its columns.

    It names address and, of these, those that there are: {columns}. Between them stand semicolons or commas.
    """

    kind = Kind.UNPROCESSABLE


class NoSuchDuplicate(Refusal):
    """No such duplicate waits to be cleared up."""

    kind = Kind.MISSING


class NoSuchOrder(Refusal):
    """No such order for access waits to be decided."""

    kind = Kind.MISSING


class TooManyOrders(Refusal):
    """Access has been ordered too many times from here.

    Wait an hour, then try again.
    """

    kind = Kind.TOO_MANY
