"""Page: `docs/messages.md`, every topic, message and field at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from contracts import topics
from contracts.catalogue import Schema, schema_of
from contracts.message import Message
from deploy.documents.system import System, writer

HEAD = """\
# Messages

Made by `make docs` from `contracts/` and from the handlers that each service registers; do not edit it. The JSON Schema
of each message is in `contracts/schemas/`, a record of each in `contracts/examples/`, the same for tools, one file a
service, in `docs/asyncapi/`. [`contracts.md`](contracts.md) says how a message may change.

Privacy: `id` names a row and says nothing to who lacks it; `open` says nothing about a person; `personal` is a person's
data and `secret` opens a door: both travel sealed to their one reader (JWE), and a secret is archived nowhere."""

UNITS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))
LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "minLength": "length at least",
    "maxLength": "length at most",
    "minItems": "items at least",
    "maxItems": "items at most",
}


def text(system: System) -> str:
    """Write the page."""
    return "\n".join(
        [HEAD, "", *_topics(system), *(line for each in system.messages for line in _message(system, each))]
    )


def _topics(system: System) -> Iterator[str]:
    yield "## Topics"
    yield ""
    yield "| Topic | Written by | Read by | Partitions | Retention | Segment | Sealed secrets |"
    yield "|---|---|---|---|---|---|---|"
    for topic in sorted(topics.ALL, key=lambda topic: topic.name):
        cells = [
            f"`{topic.name}`",
            _listed(system.writers_of(topic)),
            _listed(system.readers_of(topic)),
            topic.partitions,
            span(topic.retention),
            span(topic.segment),
            _yes(topic.holds_secrets),
        ]
        yield _row(cells)
    yield ""


def _message(system: System, message: type[Message]) -> Iterator[str]:
    schema = schema_of(message)
    readers = [f"{reading.service} (`{reading.handler}`, {reading.lane})" for reading in system.readers(message)]
    yield f"## {message.type}"
    yield ""
    yield schema["description"]
    yield ""
    yield f"- Published by: {writer(message)}"
    if message.topic.takes_requests:
        yield f"- Signed by its system, answered on `{message.topic.owner}.answers.v1`: [`integrate.md`](integrate.md)"
    yield f"- Read by: {_listed(readers)}"
    yield f"- Topic: `{message.topic.name}`, {message.topic.partitions} partitions, kept {span(message.topic.retention)}"
    yield f"- Key: `{message.key_field}`"
    yield f"- Overtakes what waits of its key: {_yes(message.overtakes)}"
    yield ""
    yield "| Field | Value | Required | Privacy | Sealed to | |"
    yield "|---|---|---|---|---|---|"
    for name, field in schema["properties"].items():
        yield _row(
            [
                f"`{name}`",
                _value(field),
                _yes(name in schema["required"]),
                field["x-privacy"],
                field.get("x-sealed-to", "–"),
                " ".join(field.get("description", "").split()),
            ]
        )
    yield ""


def span(time: timedelta) -> str:
    """Say a time in its largest whole unit, such as `7 days` or `15 minutes`."""
    for unit, name in UNITS:
        if time >= unit and time % unit == timedelta(0):
            count = time // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{time.total_seconds():g} seconds"


def _value(field: Schema) -> str:
    """Say what a field's value is; a table's bars are escaped."""
    if "anyOf" in field:
        return " or ".join(_value(branch) for branch in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    kind = field.get("format", field.get("type", "anything"))
    if "items" in field:
        kind = f"{kind} of {_value(field['items'])}"
    limits = [f"{name} {field[key]}" for key, name in LIMITS.items() if key in field]
    limits += [f"pattern `{field['pattern']}`"] if "pattern" in field else []
    return f"{kind}, {', '.join(limits)}" if limits else str(kind)


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nobody yet"


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _row(cells: list[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |".replace("|  |", "| |")
