"""Message: what every event has in common, and the CloudEvents envelope it travels in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, get_args
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from contracts.privacy import Privacy, Sealed, reader_of
from contracts.topics import Topic

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
TYPE = re.compile(r"(?P<service>[a-z]+)\.(?P<name>[A-Z][A-Za-z]+)\.v(?P<major>[1-9][0-9]*)")

Id = Annotated[UUID, Privacy.ID]
Time = Annotated[AwareDatetime, Privacy.OPEN]


class UndeclaredPrivacy(TypeError):
    """A message's field does not say how private it is, or says what its type contradicts."""


class Message(BaseModel):
    """A fact or a request; a subclass names its topic, its key and the privacy of every field.

    `class OtpRequested(Message, topic=CODES, key="challenge_id")` has the type `auth.OtpRequested.v1`, and
    `class OtpRequestedV2(…, major=2)` beside it `auth.OtpRequested.v2`. Within a major version only optional fields are
    added; readers ignore fields they do not know. `overtakes` is for what carries newer whole state, erases a person or
    voids tokens: it never waits behind a message that was set aside.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=False, use_attribute_docstrings=True)

    topic: ClassVar[Topic]
    type: ClassVar[str]
    key_field: ClassVar[str]
    overtakes: ClassVar[bool]
    readers: ClassVar[dict[str, str]]
    """Each sealed field with its one reader."""
    holds_secrets: ClassVar[bool]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(  # type: ignore[override]  # a subclass must name its topic and key.
        cls, *, topic: Topic, key: str, major: int = 1, overtakes: bool = False, **kwargs: Any
    ) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.topic, cls.key_field, cls.overtakes = topic, key, overtakes
        cls.type = f"{topic.owner}.{cls.__name__.removesuffix(f'V{major}')}.v{major}"
        classes = {name: privacy_of(cls, name, field) for name, field in cls.model_fields.items()}
        if classes.get(key) is not Privacy.ID:
            raise UndeclaredPrivacy(f"{cls.__name__}: the key {key!r} must be a field of class `id`")
        cls.readers = {
            name: reader for name, field in cls.model_fields.items() if (reader := reader_of(field.annotation))
        }
        cls.holds_secrets = Privacy.SECRET in classes.values()

    @property
    def key(self) -> str:
        """The aggregate's id: messages with one key are applied in order."""
        return str(getattr(self, self.key_field))

    def seals(self) -> dict[str, Sealed[Any]]:
        """Give the sealed fields by name, without those that are None."""
        return {name: sealed for name in self.readers if (sealed := getattr(self, name)) is not None}


def privacy_of(message: type[BaseModel], name: str, field: FieldInfo) -> Privacy:
    """Give the one privacy class of a field; raises `UndeclaredPrivacy` where it is missing, doubled or contradicted."""
    where = f"{message.__name__}.{name}"
    classes = [entry for entry in field.metadata if isinstance(entry, Privacy)]
    if len(classes) != 1:
        raise UndeclaredPrivacy(f"{where}: exactly one privacy class is needed, found {len(classes)}")
    (privacy,) = classes
    sealed = reader_of(field.annotation) is not None
    if privacy.travels_sealed and not sealed:
        raise UndeclaredPrivacy(f"{where}: a field of class `{privacy}` must be Sealed[...] to its one reader")
    if sealed and not privacy.travels_sealed:
        raise UndeclaredPrivacy(f"{where}: a sealed field is of class `personal` or `secret`, not `{privacy}`")
    parts = list(_parts(field.annotation))
    if not sealed and any(reader_of(part) for part in parts):
        raise UndeclaredPrivacy(f"{where}: Sealed[...] inside another type is never sealed; use a field of its own")
    if any(isinstance(part, type) and issubclass(part, BaseModel) for part in parts):
        raise UndeclaredPrivacy(f"{where}: a nested model hides the classes of its own fields; use plain fields")
    return privacy


def _parts(annotation: object) -> Iterator[object]:
    """Give an annotation and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _is_token(text: str) -> str:
    if not text or len(text) > 200 or not text.isascii() or not text.isprintable():  # noqa: PLR2004
        raise ValueError("1 to 200 printable ASCII characters are expected")
    return text


Token = Annotated[str, AfterValidator(_is_token)]


class Envelope(BaseModel):
    """The CloudEvents 1.0 attributes of a message in Kafka's binary mode, as headers `ce_…`.

    `sequence` is the writer's outbox id, zero-padded: a reader without an inbox can see what is old. `causationid` is
    the message that led to this one.
    """

    model_config = ConfigDict(frozen=True)

    id: Token
    source: Token
    type: Token
    subject: Token
    time: AwareDatetime
    sequence: Token | None = None
    causationid: Token | None = None
    traceparent: Token | None = None


@dataclass(frozen=True, slots=True)
class Headers:
    """The part of an envelope that is known when the message is written; the relay adds time and sequence."""

    id: UUID
    source: str
    type: str
    subject: str
    causationid: str | None = None
    traceparent: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Give the Kafka headers by name."""
        headers = {
            "ce_specversion": SPEC_VERSION,
            "ce_id": str(self.id),
            "ce_source": f"/services/{self.source}",
            "ce_type": self.type,
            "ce_subject": self.subject,
            "content-type": CONTENT_TYPE,
        }
        if self.causationid:
            headers["ce_causationid"] = self.causationid
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers


def time_header(moment: datetime) -> str:
    """Write a moment as CloudEvents wants it (RFC 3339)."""
    return moment.isoformat()
