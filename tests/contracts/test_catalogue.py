"""Catalogue: each message has a schema that an independent checker takes, and that says what the class says."""

import json
import types
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from contracts import catalogue
from contracts.auth import OtpRequested, Purpose
from contracts.catalogue import messages, schema_of, text_of
from contracts.message import Id, Message
from contracts.notifications import MailDelivered
from contracts.privacy import Privacy
from contracts.topics import ACCOUNTS

MESSAGES = messages()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_schema_is_valid_in_its_dialect_and_refers_to_nothing(message: type[Message]) -> None:
    schema = schema_of(message)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert "$ref" not in text_of(schema)


def test_the_checker_of_schemas_can_refuse() -> None:
    with pytest.raises(Exception, match="is not valid under any of the given schemas"):
        Draft202012Validator.check_schema({"type": "nothing that exists"})


@pytest.mark.goal("sec-P4")
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_schema_says_of_each_field_how_private_it_is_and_to_whom_it_is_sealed(message: type[Message]) -> None:
    fields = schema_of(message)["properties"]
    assert list(fields) == list(message.model_fields)
    assert {name for name, field in fields.items() if field["x-privacy"] in {"personal", "secret"}} == set(
        message.readers
    )
    assert {name: field["x-sealed-to"] for name, field in fields.items() if "x-sealed-to" in field} == message.readers
    assert all(fields[name].get("anyOf", [fields[name]])[0]["format"] == "jwe" for name in message.readers)
    assert fields[message.key_field]["x-privacy"] == "id"


def test_a_schema_names_topic_key_values_and_words() -> None:
    schema = schema_of(OtpRequested)
    assert (schema["x-topic"], schema["x-key"], schema["x-overtakes"]) == ("auth.codes.v1", "challenge_id", False)
    assert schema["properties"]["purpose"]["enum"] == [purpose.value for purpose in Purpose]
    assert schema["description"].startswith("A one-time code was issued")
    assert schema_of(MailDelivered)["properties"]["about"]["description"] == "The message that wanted the mail."


def test_a_field_that_may_be_missing_is_not_required_and_names_its_default() -> None:
    body = {
        "__annotations__": {"thing_id": Id, "purpose": Annotated[Purpose | None, Privacy.OPEN]},
        "__module__": __name__,
        "purpose": None,
    }
    options: dict[str, Any] = {"topic": ACCOUNTS, "key": "thing_id"}
    schema = schema_of(types.new_class("ThingChanged", (Message,), options, lambda namespace: namespace.update(body)))
    assert schema["required"] == ["thing_id"]
    assert schema["properties"]["purpose"]["default"] is None
    check = Draft202012Validator(schema)
    check.validate({"thing_id": "0199a000-0000-7000-8000-000000000001", "purpose": "login", "added_later": 1})
    with pytest.raises(ValidationError):
        check.validate({"thing_id": "0199a000-0000-7000-8000-000000000001", "purpose": "logout"})


def test_messages_of_tests_are_not_in_the_catalogue() -> None:
    from tests.support.things import ThingHappened

    assert ThingHappened not in catalogue.messages()
    assert json.loads(text_of({"å": 1})) == {"å": 1}
