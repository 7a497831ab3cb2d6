"""AsyncAPI 3.0: what one service sends and receives, for the tools of whoever talks to it."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.handlers import Lane
from chassis.requests import USE
from chassis.systems import NAME
from contracts.catalogue import Schema, schema_of
from contracts.message import CONTENT_TYPE, SPEC_VERSION, TYPE, Message
from contracts.requests import SIGNATURE, SOURCE
from contracts.topics import Topic
from deploy.documents import examples
from deploy.documents.system import Reading, Service, System, writer

KAFKA = "0.5.0"
"""The version of the Kafka bindings."""


def document(system: System, service: Service) -> Schema:
    """Describe a service: its channels are topics, its operations what it publishes and what its handlers act on."""
    said, read = system.said_by(service.name), system.read_by(service.name)
    messages = sorted({*said, *(reading.message for reading in read)}, key=lambda message: message.type)
    operations = [_send(message) for message in said] + [_receive(reading) for reading in read]
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:samband:{service.name}",
        "info": {
            "title": service.name,
            "version": service.version,
            "description": service.about,
            "license": {"name": "EUPL-1.2"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic, messages) for topic in _topics(messages)},
        "operations": dict(operations),
        "components": {"messages": {message.type: _message(message) for message in messages}},
    }


def _topics(messages: Sequence[type[Message]]) -> list[Topic]:
    return sorted({message.topic for message in messages}, key=lambda topic: topic.name)


def _channel(topic: Topic, messages: Sequence[type[Message]]) -> Schema:
    config = topic.config()
    largest = {"max.message.bytes": int(config["max.message.bytes"])} if topic.takes_requests else {}
    kafka = {
        "topic": topic.name,
        "partitions": topic.partitions,
        "topicConfiguration": {
            "cleanup.policy": [config["cleanup.policy"]],
            "retention.ms": int(config["retention.ms"]),
            **largest,
        },
        "bindingVersion": KAFKA,
    }
    return {
        "address": topic.name,
        "messages": {
            message.type: {"$ref": f"#/components/messages/{message.type}"}
            for message in messages
            if message.topic == topic
        },
        "bindings": {"kafka": kafka},
        "x-segment-ms": int(config["segment.ms"]),
        "x-holds-secrets": topic.holds_secrets,
    }


def _send(message: type[Message]) -> tuple[str, Schema]:
    return _operation("send", message)


def _receive(reading: Reading) -> tuple[str, Schema]:
    name, operation = _operation("receive", reading.message)
    group = {"groupId": {"type": "string", "const": reading.group}, "bindingVersion": KAFKA}
    return name, operation | {
        "bindings": {"kafka": group},
        "x-handler": reading.handler,
        "x-lane": str(Lane(reading.lane)),
    }


def _operation(action: str, message: type[Message]) -> tuple[str, Schema]:
    """Name it for code generators, such as `receiveAuthAccountChangedV1`."""
    match = TYPE.fullmatch(message.type)
    assert match is not None, f"{message.type} is no type"
    channel = f"#/channels/{message.topic.name}"
    return f"{action}{match['service'].capitalize()}{match['name']}V{match['major']}", {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message.type}"}],
    }


def _message(message: type[Message]) -> Schema:
    schema = schema_of(message)
    payload = {name: value for name, value in schema.items() if name not in {"$schema", "$id"}}
    return {
        "name": message.type,
        "title": schema["title"],
        "summary": schema["description"].partition("\n")[0],
        "contentType": CONTENT_TYPE,
        "headers": headers_of(message),
        "payload": payload,
        "bindings": {"kafka": {"key": schema["properties"][message.key_field], "bindingVersion": KAFKA}},
        "examples": [{"headers": each.headers, "payload": each.data} for each in examples.of_type(message.type)[-1:]],
    }


def headers_of(message: type[Message]) -> Schema:
    """Describe the Kafka headers of a message: CloudEvents 1.0 in binary mode."""
    signed = {SIGNATURE: _signature(message)} if message.topic.takes_requests else {}
    required = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time"]
    return {
        "type": "object",
        "properties": {
            "ce_specversion": {"type": "string", "const": SPEC_VERSION},
            "ce_id": _text("The message: one that comes again has the same.", "uuid"),
            "ce_source": _source(message),
            "ce_type": {"type": "string", "const": message.type},
            "ce_subject": _text(f"The key, `{message.key_field}`."),
            "ce_time": _text("When it was written.", "date-time"),
            "ce_sequence": _text("The writer's own count, zero-padded: what is lower is older."),
            "ce_causationid": _text("The message that led to this one."),
            "content-type": {"type": "string", "const": CONTENT_TYPE},
            "traceparent": _text("The trace that it belongs to (W3C Trace Context)."),
            **signed,
        },
        "required": [*required, *signed],
    }


def _source(message: type[Message]) -> Schema:
    source = {"type": "string", "format": "uri-reference"}
    if message.topic.takes_requests:
        return source | {"description": "The system that sends it.", "pattern": f"^{SOURCE}{NAME.pattern}$"}
    return source | {"const": f"/services/{writer(message)}"}


def _signature(message: type[Message]) -> Schema:
    about = (
        "Detached JWS (RFC 7515, appendix F) by Ed25519 or ES256 of the value, byte for byte. Its protected header has "
        f"`alg`, `kid`, `typ` ({USE}), `samband_message` (ce_id), `samband_type` (ce_type), `samband_audience` "
        f"({message.topic.owner}) and `samband_time` (ce_time). See docs/integrate.md."
    )
    return _text(about) | {"pattern": r"^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+$"}


def _text(says: str, kind: str | None = None) -> Schema:
    return {"type": "string", "description": says} | ({"format": kind} if kind else {})
