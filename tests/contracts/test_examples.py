"""Examples: a record of every version ever released is read by the present classes, as it lies in Kafka."""

from dataclasses import dataclass, field
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from jsonschema import ValidationError as NotOfSchema

from chassis import handlers, requests
from chassis.arrival import ATTRIBUTES, Arrival
from chassis.postgres import Identity
from chassis.sealing import CannotOpen
from chassis.signing import NotProven
from chassis.systems import Systems
from contracts.catalogue import messages, schema_of
from contracts.message import Envelope, Message
from contracts.requests import SIGNATURE
from deploy.documents import asyncapi, examples
from deploy.documents.examples import Example
from tests.contracts import golden

MESSAGES = {message.type: message for message in messages()}
EXAMPLES = [
    pytest.param(path.parent.name, Example.read(path), id=f"{path.parent.name}-{path.stem}")
    for path in sorted(examples.FOLDER.glob("*/*.json"))
]
each = pytest.mark.parametrize(("kind", "example"), EXAMPLES)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as Kafka's client gives it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    partition: int = field(default=0)
    offset: int = field(default=0)


def arrived(example: Example) -> tuple[Arrival, Envelope]:
    headers = [(name, text.encode()) for name, text in example.headers.items()]
    arrival = Arrival.of(Record(example.topic, example.key.encode(), example.value.encode(), headers))
    assert arrival.envelope is not None, arrival.fault
    return arrival, arrival.envelope


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_message_has_examples_that_show_every_field(kind: str) -> None:
    shown = {name for example in examples.of_type(kind) for name in example.data}
    assert shown >= set(MESSAGES[kind].model_fields), f"python -m tests.contracts.golden {kind}"


def test_no_example_is_of_a_message_that_is_gone() -> None:
    assert {folder.name for folder in examples.FOLDER.iterdir()} == set(MESSAGES)


@each
def test_an_example_is_read_by_the_present_class_and_opened_by_its_reader(kind: str, example: Example) -> None:
    arrival, envelope = arrived(example)
    message = handlers.read(MESSAGES[kind], arrival)
    assert (envelope.type, envelope.subject, message.key) == (kind, example.key, example.key)
    assert example.topic == message.topic.name
    for name, reader in message.readers.items():
        opened = handlers.open_sealed(message, envelope, Identity(reader, golden.keyring(reader)))
        assert name not in message.seals() or getattr(opened, name).clear


@pytest.mark.goal("sec-P2")
@pytest.mark.parametrize(("kind", "example"), [given for given in EXAMPLES if MESSAGES[str(given.values[0])].readers])
def test_what_is_sealed_in_an_example_opens_in_no_other_message(kind: str, example: Example) -> None:
    arrival, envelope = arrived(example)
    message, moved = handlers.read(MESSAGES[kind], arrival), envelope.model_copy(update={"id": "another"})
    for reader in message.readers.values():
        with pytest.raises(CannotOpen, match="was sealed for another place"):
            handlers.open_sealed(message, moved, Identity(reader, golden.keyring(reader)))


@each
def test_an_example_fits_the_schemas_of_its_value_and_headers(kind: str, example: Example) -> None:
    Draft202012Validator(schema_of(MESSAGES[kind])).validate(example.data)
    headers = Draft202012Validator(asyncapi.headers_of(MESSAGES[kind]))
    headers.validate(example.headers)
    with pytest.raises(NotOfSchema):
        headers.validate(example.headers | {"ce_specversion": "0.3"})


@each
def test_an_example_is_a_cloudevent_to_a_stranger(kind: str, example: Example) -> None:
    from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
    from cloudevents.core.formats.json import JSONFormat

    headers = {name: text.encode() for name, text in example.headers.items()}
    raw = KafkaMessage(headers=headers, key=example.key.encode(), value=example.value.encode())
    event = from_binary_event(raw, JSONFormat())
    assert (event.get_type(), event.get_subject()) == (kind, example.key)
    assert event.get_data() == example.data


@pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda message: message.type)
def test_the_schema_of_headers_tells_of_all_that_the_chassis_reads(message: type[Message]) -> None:
    described = asyncapi.headers_of(message)
    assert {f"ce_{name}" for name in ATTRIBUTES} <= set(described["properties"])
    required = {f"ce_{name}" for name, field in Envelope.model_fields.items() if field.is_required()}
    signed = {SIGNATURE} if message.topic.takes_requests else set()
    assert set(described["required"]) == required | {"ce_specversion"} | signed


@pytest.mark.parametrize(
    "example", [given.values[1] for given in EXAMPLES if MESSAGES[str(given.values[0])].topic.takes_requests]
)
def test_a_request_among_the_examples_is_signed_by_its_system(example: Example) -> None:
    arrival, envelope = arrived(example)
    system = Systems.load(golden.KEYS / "systems").of_source(envelope.source)
    audience = example.topic.partition(".")[0]
    assert requests.prove(arrival, system, audience) == (envelope, UUID(envelope.id))
    with pytest.raises(NotProven):
        requests.prove(arrival, system, "another")
