"""Addresses: one way to write each e-mail address."""

from typing import Annotated, NewType

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from services.auth.people.errors import WrongAddress

Address = NewType("Address", str)
LONGEST = 254


def normalise(text: str) -> Address:
    """Give an address in lower case, as it is compared and stored; raises `WrongAddress`.

    Only ASCII is taken before the @: an address that the mail server cannot be told is nobody's.
    """
    try:
        found = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise WrongAddress from None
    return Address((found.ascii_email or found.normalized).lower())


def _typed(text: str) -> Address:
    try:
        return normalise(text)
    except WrongAddress:
        raise ValueError("not an e-mail address") from None


TypedAddress = Annotated[Address, Field(max_length=LONGEST), AfterValidator(_typed)]
"""An address in the body of a request."""
