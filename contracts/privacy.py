"""Privacy: how a field of a message may travel, and the sealed text that only one reader opens."""

from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Generic, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

Reader = TypeVar("Reader")

Auth = Literal["auth"]
"""The service that knows people, as a reader of sealed fields."""
Notifications = Literal["notifications"]
"""The service that sends e-mails, as a reader of sealed fields."""


class Privacy(StrEnum):
    """What a field says about a person; every field of a message carries exactly one."""

    ID = "id"
    """Names a row and says nothing to who lacks the row."""
    OPEN = "open"
    """Says nothing about a person: a time, a count, a state."""
    PERSONAL = "personal"
    """A person's data: travels sealed."""
    SECRET = "secret"  # noqa: S105 -- the name of a class of data, not a password # nosec B105
    """Opens a door: travels sealed, and is archived nowhere."""

    @property
    def travels_sealed(self) -> bool:
        return self in {Privacy.PERSONAL, Privacy.SECRET}


class NotSealed(ValueError):
    """A text was about to be written to the bus in the clear."""


class NotOpened(ValueError):
    """A sealed text was read where nobody has opened it."""


class Sealed(Generic[Reader]):
    """A text for one reader: clear in the memory of its writer and its reader, a JWE everywhere else.

    The writer makes one of clear text, the outbox seals it, the reader's consumer opens it. Its `repr` shows
    neither, and serialising one that was never sealed raises `NotSealed`.
    """

    __slots__ = ("_clear", "_token")

    def __init__(self, clear: str) -> None:
        self._clear: str | None = clear
        self._token: str | None = None

    @classmethod
    def from_token(cls, token: str, clear: str | None = None) -> Self:
        """Make one of a compact JWE, opened when `clear` is given."""
        sealed = cls.__new__(cls)
        sealed._clear, sealed._token = clear, token  # noqa: SLF001 -- its own, made a line above.
        return sealed

    @property
    def clear(self) -> str:
        """The text itself; raises `NotOpened` when only the JWE is known."""
        if self._clear is None:
            raise NotOpened("This text is sealed and was not opened here")
        return self._clear

    @property
    def token(self) -> str:
        """The compact JWE; raises `NotSealed` when it was never sealed."""
        if self._token is None:
            raise NotSealed("This text has not been sealed to its reader")
        return self._token

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and (self._clear, self._token) == (other._clear, other._token)

    def __hash__(self) -> int:
        return hash((self._clear, self._token))

    def __repr__(self) -> str:
        return "Sealed(…)"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(lambda sealed: sealed.token)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "jwe", "contentMediaType": "application/jose"}

    @classmethod
    def _validate(cls, value: object) -> "Sealed[Reader]":
        if isinstance(value, Sealed):
            return value
        if isinstance(value, str) and value.count(".") == 4:  # noqa: PLR2004 -- a compact JWE has five parts (RFC 7516).
            return cls.from_token(value)
        raise ValueError("a compact JWE of five parts is expected")


def reader_of(annotation: object) -> str | None:
    """Name the one reader of a `Sealed[...]` annotation, or of one that may be None; None for any other type."""
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        annotation, *others = (part for part in get_args(annotation) if part is not NoneType)
        if others:
            return None
    if getattr(annotation, "__origin__", None) is not Sealed:
        return None
    (reader,) = get_args(get_args(annotation)[0])
    return str(reader)
