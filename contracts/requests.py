"""Requests: how a service answers what other systems ask of it; each service declares its own three answers of these.

`class RequestAccepted(Accepted, Message, topic=…, key="request_id")`, and so on, beside the service's requests.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.message import Id
from contracts.privacy import Privacy

SOURCE = "/systems/"
"""What the `ce_source` of a request begins with; the name of the system follows."""
SIGNATURE = "ce_signature"
"""The header with the detached JWS of a request."""
ORGANISATION = "organisation_id"
"""The field of a request that names whom it is for."""


class Unproven(StrEnum):
    """Why it is not known who sent a request."""

    UNREADABLE_REQUEST = "unreadable_request"
    NO_SIGNATURE = "no_signature"
    UNREADABLE_SIGNATURE = "unreadable_signature"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SIGNATURE = "wrong_signature"
    OTHER_REQUEST = "other_request"


class Declined(StrEnum):
    """Why a request of a known system was refused; `by_rule` is the service's own decision, which `code` names."""

    STALE = "stale"
    FROM_THE_FUTURE = "from_the_future"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    ORGANISATION_NOT_ALLOWED = "organisation_not_allowed"
    UNKNOWN_TYPE = "unknown_type"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    NOT_NOW = "not_now"
    BY_RULE = "by_rule"


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    request_id: Id
    """The `ce_id` of the request."""
    system: Annotated[str, Privacy.OPEN]
    """Whose request it was: an id means something only together with its system."""
    request_type: Annotated[str, Privacy.OPEN]
    value_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$"), Privacy.OPEN]
    """SHA-256 of the value that was judged, in hexadecimal."""


class Accepted(_Answer):
    """Fields of `RequestAccepted`."""

    given: Annotated[str | None, Privacy.ID] = None
    """The number or id that was given, such as that of the account."""


class Refused(_Answer):
    """Fields of `RequestRefused`."""

    reason: Annotated[Declined, Privacy.OPEN]
    code: Annotated[str, Privacy.OPEN]
    """What exactly, as a URN for programs: the same as in answers over HTTP."""
    text: Annotated[str, Privacy.OPEN]
    """The same for a person, in English."""


class NotProven(BaseModel):
    """Fields of `RequestNotProven`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    system: Annotated[str, Privacy.ID]
    """Whose request it says it is."""
    partition: Annotated[int, Privacy.OPEN]
    """With `offset`: where the record lies in the topic of requests. Only who wrote it was told so by Kafka."""
    offset: Annotated[int, Privacy.OPEN]
    request_id: Annotated[UUID | None, Privacy.ID] = None
    """The id that it says it has."""
    reason: Annotated[Unproven, Privacy.OPEN]
    text: Annotated[str, Privacy.OPEN]
