"""What is declined about organisations; each docstring is what the person reads."""

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


class OrganisationClosed(Refusal):
    """Nobody can be given rights in this organisation any more."""

    kind = Kind.CONFLICT
