"""Arrival: a Kafka record as it came, and the CloudEvent in it, or what is wrong with it."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from pydantic import ValidationError

from chassis import tracing
from contracts.message import SPEC_VERSION, Envelope

ATTRIBUTES = ("id", "source", "type", "subject", "time", "sequence", "causationid")


class Record(Protocol):
    """What is read of an aiokafka record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Broken(Exception):
    """The record is not an event that this service can read; the text names the part, never its content."""


@dataclass(frozen=True)  # Without slots: the digest of a large record is taken once.
class Arrival:
    """A record, its topic without the prefix of the installation. `envelope` is None exactly when `fault` says why."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    envelope: Envelope | None = field(default=None)
    fault: str | None = field(default=None)
    came_at: datetime | None = field(default=None)
    """When it came, where that is not now: it was set aside then, and is tried again. No part of the record."""

    @classmethod
    def of(cls, record: Record, prefix: str = "") -> "Arrival":
        """Read a record; nothing it holds makes this raise."""
        headers = tuple((name, value or b"") for name, value in record.headers)
        envelope, fault = None, None
        try:
            envelope = read_envelope(headers)
        except Broken as error:
            fault = str(error)
        topic = record.topic.removeprefix(prefix)
        return cls(topic, record.partition, record.offset, record.key, record.value, headers, envelope, fault)

    @property
    def is_request(self) -> bool:
        """Tell whether it lies where other systems write: then nothing that it says of itself is proven yet."""
        return self.topic.split(".")[1:2] == ["requests"]

    @property
    def identity(self) -> tuple[str, str]:
        """Say which message this is, for the inbox: source and id, or where it lies when it cannot tell.

        A request is known by the whole record: nobody can make another's look handled, and one that is sent again is
        another record, whose sender wants the answer again.
        """
        if self.is_request:
            return f"kafka:{self.topic}", self.digest
        if self.envelope is None:
            return f"kafka:{self.topic}", f"{self.partition}:{self.offset}"
        return self.envelope.source, self.envelope.id

    @property
    def traceparent(self) -> str | None:
        """Name the trace in which its writer wrote it, if there is one."""
        return self.envelope.traceparent if self.envelope else None

    @property
    def key_digest(self) -> bytes | None:
        """Give the key as it is stored: messages of one key wait for each other, one without a key for nobody.

        Keys of requests are each system's own: none holds up what another asks for.
        """
        if self.key is None:
            return None
        source = dict(self.headers).get("ce_source", b"") + b"\0" if self.is_request else b""
        return hashlib.sha256(source + self.key).digest()

    @cached_property
    def digest(self) -> str:
        """Give a name to the record: SHA-256 of all that it holds, and of where it lies."""
        return f"sha256:{hashlib.sha256(self.pack().encode()).hexdigest()}"

    def pack(self) -> str:
        """Write the whole record as text, to be sealed."""
        return json.dumps(
            {
                "topic": self.topic,
                "partition": self.partition,
                "offset": self.offset,
                "key": _text(self.key),
                "value": _text(self.value),
                "headers": [(name, _text(value)) for name, value in self.headers],
            }
        )

    @classmethod
    def unpack(cls, packed: str) -> "Arrival":
        """Read what `pack` wrote."""
        record = json.loads(packed)
        for name in ("key", "value"):
            record[name] = _bytes(record[name])
        record["headers"] = [(name, _bytes(value)) for name, value in record["headers"]]
        return cls.of(_Unpacked(**record))


@dataclass(frozen=True, slots=True)
class _Unpacked:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def read_envelope(headers: Sequence[tuple[str, bytes]]) -> Envelope:
    """Read the CloudEvents attributes; raises `Broken` naming the header. Headers of others may hold any bytes.

    A `traceparent` that is none is passed over: it is no part of the message.
    """
    raw = dict(headers)
    version = raw.get("ce_specversion")
    if version != SPEC_VERSION.encode():
        raise Broken("ce_specversion is missing" if version is None else "ce_specversion is not 1.0")
    attributes: dict[str, str | None] = {"traceparent": tracing.read_header(raw.get("traceparent"))}
    for name in ATTRIBUTES:
        if (value := raw.get(f"ce_{name}")) is not None:
            try:
                attributes[name] = value.decode()
            except UnicodeDecodeError:
                raise Broken(f"ce_{name} is not UTF-8") from None
    try:
        return Envelope.model_validate(attributes)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Broken(f"ce_{first['loc'][0]}: {first['msg']}") from None


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)
