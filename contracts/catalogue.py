"""Catalogue: every message that is declared, and the JSON Schema that tells others what it looks like."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

import contracts
from contracts.message import Message, privacy_of

DIALECT = GenerateJsonSchema.schema_dialect
Schema = dict[str, Any]


def messages() -> list[type[Message]]:
    """Give every message of the contracts, sorted by type."""
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"{contracts.__name__}.{module.name}")
    own = (each for each in _below(Message) if each.__module__.startswith(f"{contracts.__name__}."))
    return sorted(own, key=lambda message: message.type)


def schema_of(message: type[Message]) -> Schema:
    """Describe a message's value as its readers take it, in JSON Schema 2020-12 without references.

    `x-privacy` is the class of each field, `x-sealed-to` the one reader of a sealed one; `x-topic`, `x-key` and
    `x-overtakes` are the message's own.
    """
    made = message.model_json_schema(schema_generator=_Untitled)
    fields = {
        name: _inlined(made["properties"][name], made.get("$defs", {}))
        | {"x-privacy": str(privacy_of(message, name, field))}
        | ({"x-sealed-to": message.readers[name]} if name in message.readers else {})
        for name, field in message.model_fields.items()
    }
    return {
        "$schema": DIALECT,
        "$id": f"urn:samband:message:{message.type}",
        "title": message.__name__,
        "description": cleandoc(message.__doc__ or ""),
        "type": "object",
        "properties": fields,
        "required": made.get("required", []),
        "x-topic": message.topic.name,
        "x-key": message.key_field,
        "x-overtakes": message.overtakes,
    }


def text_of(document: Any) -> str:
    """Write a document as it lies in a file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Untitled(GenerateJsonSchema):
    """Fields have a name; a title made of it says nothing more."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 -- pydantic's signature.
        return False


def _below(parent: type[Message]) -> Iterator[type[Message]]:
    for message in parent.__subclasses__():
        yield message
        yield from _below(message)


def _inlined(part: Any, definitions: Schema) -> Any:
    """Put definitions in the place of references; a message holds no models, so that none refers to itself."""
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    plain = {name: _inlined(value, definitions) for name, value in part.items() if name != "$ref"}
    if (reference := part.get("$ref")) is None:
        return plain
    return _inlined(definitions[reference.rpartition("/")[2]], definitions) | plain
