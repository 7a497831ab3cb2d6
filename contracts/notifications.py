"""What `notifications` says: what became of each e-mail."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.message import Id, Message, Time
from contracts.privacy import Privacy
from contracts.topics import DELIVERIES


class MailDelivered(Message, topic=DELIVERIES, key="mail_id"):
    """The mail server took the mail; whether a person ever reads it nobody knows."""

    mail_id: Id
    account_id: Id
    about: Id
    """The message that wanted the mail."""
    kind: Annotated[str, Privacy.OPEN]
    delivered_at: Time
    account_epoch: Annotated[int | None, Field(ge=1), Privacy.OPEN] = None
    account_version: Annotated[int | None, Field(ge=1), Privacy.OPEN] = None
    """With the epoch: the state of the account whose address the mail went to."""


class MailBounced(Message, topic=DELIVERIES, key="mail_id"):
    """The mail server refused the mail for good: an address to look at."""

    mail_id: Id
    account_id: Id
    about: Id
    kind: Annotated[str, Privacy.OPEN]
    smtp_code: Annotated[int, Field(ge=500, le=599), Privacy.OPEN]
    bounced_at: Time
    account_epoch: Annotated[int | None, Field(ge=1), Privacy.OPEN] = None
    account_version: Annotated[int | None, Field(ge=1), Privacy.OPEN] = None
    """With the epoch: the state of the account whose address the mail went to."""


class GivenUp(StrEnum):
    """Why a mail was not sent."""

    EXPIRED = "expired"
    NO_ADDRESS = "no_address"
    INACTIVE = "inactive"
    UNDELIVERABLE = "undeliverable"


class MailGivenUp(Message, topic=DELIVERIES, key="mail_id"):
    """The mail was not sent in the time it had."""

    mail_id: Id
    account_id: Id
    about: Id
    kind: Annotated[str, Privacy.OPEN]
    reason: Annotated[GivenUp, Privacy.OPEN]
    given_up_at: Time
