"""What is declined about sessions and tokens; each docstring is what the person reads."""

from chassis.access import NotSignedIn
from chassis.errors import Kind, Refusal


class NotLoggedIn(NotSignedIn):
    """You are not logged in.

    Ask for a code to log in.
    """


class NoSuchSession(Refusal):
    """You have no open session of this id."""

    kind = Kind.MISSING


class OrganisationNotYours(Refusal):
    """There is no organisation of this id that you may act for.

    Those who administer its users can give you access.
    """

    kind = Kind.MISSING


class UnknownAudience(Refusal):
    """No service of this name takes access tokens."""

    kind = Kind.UNPROCESSABLE


class OrganisationNotAllowed(Refusal):
    """The system may not act for this organisation.

    What it may do stands in its file; one that may not act for all must name an organisation_id.
    """

    kind = Kind.FORBIDDEN


class ClientNotProven(Refusal):
    """It is not proven which system this is.

    Send a client_assertion as RFC 7523 says, signed with a key that is known here, good for at most five minutes, and used
    once.
    """

    kind = Kind.UNAUTHENTICATED


class RefreshRefused(Refusal):
    """This refresh token is not good, or not any more.

    Log in again.
    """

    kind = Kind.FORBIDDEN


class TooManyChains(Refusal):
    """Too many programs have been given a refresh token in this session.

    Log in again.
    """

    kind = Kind.TOO_MANY


class UnreadableForm(Refusal):
    """The form cannot be read, or something is missing in it.

    Each parameter stands once, as RFC 6749 says.
    """

    kind = Kind.INVALID


class UnknownGrant(Refusal):
    """Tokens are given for grant_type refresh_token and client_credentials alone."""

    kind = Kind.INVALID
