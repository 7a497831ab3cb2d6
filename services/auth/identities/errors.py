"""What is declined about identities; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class WrongIdentityNumber(Refusal):
    """This is not a Norwegian identity number.

    It has eleven digits, of which the last two check the others.
    """

    kind = Kind.UNPROCESSABLE


class IdentityTaken(Refusal):
    """Your electronic ID is linked to another account here.

    Log in with it, and remove the link on the account page first.
    """

    kind = Kind.CONFLICT
