"""Compatibility: one example of each kind of change, allowed and refused, and proof by reading that the rule is right."""

import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field, ValidationError

from contracts import compatibility
from contracts.catalogue import messages, schema_of
from contracts.message import Id, Message, Time
from contracts.privacy import Notifications, Privacy, Sealed
from contracts.topics import ACCOUNTS, DELIVERIES

KIND = "auth.ThingChanged.v1"
JWE = "eyJh.bGci.aXY.Y2lwaGVy.dGFn"


class Colour(StrEnum):
    """What a thing looks like."""

    RED = "red"
    BLUE = "blue"


class MoreColour(StrEnum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class LessColour(StrEnum):
    RED = "red"


FIELDS: dict[str, Any] = {
    "thing_id": Id,
    "owner_id": Id,
    "count": Annotated[int, Field(ge=1, le=9), Privacy.OPEN],
    "word": Annotated[str, Field(pattern="^[a-z]+$"), Privacy.OPEN],
    "colour": Annotated[Colour, Privacy.OPEN],
    "address": Annotated[Sealed[Notifications], Privacy.PERSONAL],
    "tags": Annotated[list[Annotated[str, Field(max_length=5)]], Privacy.OPEN],
    "limit": Annotated[Annotated[int, Field(ge=1)] | None, Privacy.OPEN],
    "note": Annotated[str | None, Privacy.OPEN],
    "made_at": Time,
}
DEFAULTS: dict[str, Any] = {"note": None}
SAMPLE: dict[str, Any] = {
    "thing_id": str(UUID(int=1)), "owner_id": str(UUID(int=2)), "count": 1, "word": "abc", "colour": "blue",
    "address": JWE, "tags": ["abcde"], "limit": 1, "made_at": datetime(2026, 11, 23, tzinfo=UTC).isoformat(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the message, what a writer of the new one says besides, and who then cannot read whom."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    without: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    fails: Literal["then", "now"] | None = None
    """The reader of then (the last release) refuses what is new, or the reader of now what is old."""
    says: str = ""
    breaks: int = 1
    doc: str = "A thing."

    def made(self) -> type[Message]:
        chosen = {name: kind for name, kind in {**FIELDS, **self.fields}.items() if name != self.without}
        defaults = {name: value for name, value in {**DEFAULTS, **self.defaults}.items() if value is not ...}

        def body(namespace: dict[str, Any]) -> None:
            namespace |= {"__annotations__": chosen, "__module__": __name__, "__doc__": self.doc, **defaults}

        options = {"topic": ACCOUNTS, "key": "thing_id", **self.options}
        return types.new_class("ThingChanged", (Message,), options, body)

    def written(self) -> str:
        said = {**SAMPLE, **self.sample}
        return json.dumps({name: value for name, value in said.items() if name != self.without and value is not ...})


THEN = Change()
OPEN = Privacy.OPEN

ALLOWED = {
    "nothing": Change(),
    "other words": Change(doc="A thing that was said better."),
    "an optional field added": Change(
        {"nickname": Annotated[str | None, OPEN]}, defaults={"nickname": None}, sample={"nickname": "n"}
    ),
    "an optional enum added": Change(
        {"shade": Annotated[Colour, OPEN]}, defaults={"shade": Colour.RED}, sample={"shade": "blue"}
    ),
}

REFUSED = {
    "a required field added": Change(
        {"nickname": Annotated[str, OPEN]}, sample={"nickname": "n"}, fails="now", says="nickname: added as required"
    ),
    "a field removed": Change(without="word", fails="then", says="word: removed (or renamed)"),
    "an optional field removed": Change(without="note", defaults={"note": ...}, says="note: removed (or renamed)"),
    "a field renamed": Change(
        {"term": FIELDS["word"]}, without="word", sample={"term": "abc"}, fails="then", breaks=2,
        says="word: removed (or renamed)",
    ),
    "a field retyped": Change(
        {"count": Annotated[str, OPEN]}, sample={"count": "one"}, fails="then",
        says="count: retyped from integer to string",
    ),
    "a text made an id": Change(
        {"word": Id}, sample={"word": str(UUID(int=3))}, fails="now",
        says="word: retyped from string to string (uuid)",
    ),
    "a field that may be null": Change(
        {"word": Annotated[str | None, OPEN]}, sample={"word": None}, fails="then",
        says="word: retyped from string to null or string",
    ),
    "a list made one": Change(
        {"tags": Annotated[str, OPEN]}, sample={"tags": "a"}, fails="then", says="tags: retyped from array to string"
    ),
    "the items of a list retyped": Change(
        {"tags": Annotated[list[int], OPEN]}, sample={"tags": [1]}, fails="then",
        says="tags[]: retyped from string to integer",
    ),
    "the items of a list widened": Change(
        {"tags": Annotated[list[str], OPEN]}, sample={"tags": ["abcdef"]}, fails="then",
        says="tags[]: widened: maxLength changed from 5 to nothing",
    ),
    "a field made optional": Change(
        defaults={"count": 1}, sample={"count": ...}, fails="then", says="count: made optional"
    ),
    "a field made required": Change(
        defaults={"note": ...}, sample={"note": "n"}, fails="now", says="note: made required"
    ),
    "another default": Change(defaults={"note": "none"}, says='note: default changed from null to "none"'),
    "a value added": Change(
        {"colour": Annotated[MoreColour, OPEN]}, sample={"colour": "green"}, fails="then",
        says='colour: value "green" added',
    ),
    "a value taken away": Change(
        {"colour": Annotated[LessColour, OPEN]}, fails="now", sample={"colour": "red"},
        says='colour: value "blue" taken away',
    ),
    "an enum opened": Change(
        {"colour": Annotated[str, OPEN]}, sample={"colour": "pink"}, fails="then", says="colour: widened: enum changed",
    ),
    "a text bound to values": Change(
        {"word": Annotated[Colour, OPEN]}, sample={"word": "red"}, fails="now", breaks=2,
        says="word: narrowed: enum changed",
    ),
    "a constant of the enum's first value": Change(
        {"colour": Annotated[Literal["red"], OPEN]}, sample={"colour": "red"}, fails="now",
        says='colour: value "blue" taken away',
    ),
    "a pattern narrowed": Change(
        {"word": Annotated[str, Field(pattern="^[a-b]+$"), OPEN]}, sample={"word": "ab"}, fails="now",
        says='word: pattern changed from "^[a-z]+$" to "^[a-b]+$"',
    ),
    "a pattern dropped": Change(
        {"word": Annotated[str, OPEN]}, sample={"word": "ABC"}, fails="then", says="word: widened: pattern changed"
    ),
    "a length limited": Change(
        {"word": Annotated[str, Field(pattern="^[a-z]+$", max_length=2), OPEN]}, sample={"word": "ab"}, fails="now",
        says="word: narrowed: maxLength changed from nothing to 2",
    ),
    "a minimum raised": Change(
        {"count": Annotated[int, Field(ge=2, le=9), OPEN]}, sample={"count": 2}, fails="now",
        says="count: narrowed: minimum changed from 1 to 2",
    ),
    "a minimum lowered": Change(
        {"count": Annotated[int, Field(ge=0, le=9), OPEN]}, sample={"count": 0}, fails="then",
        says="count: widened: minimum changed from 1 to 0",
    ),
    "a maximum raised": Change(
        {"count": Annotated[int, Field(ge=1, le=10), OPEN]}, sample={"count": 10}, fails="then",
        says="count: widened: maximum changed from 9 to 10",
    ),
    "a maximum lowered": Change(
        {"count": Annotated[int, Field(ge=1, le=8), OPEN]}, says="count: narrowed: maximum changed from 9 to 8"
    ),
    "a limit inside a field that may be null": Change(
        {"limit": Annotated[Annotated[int, Field(ge=2)] | None, OPEN]}, sample={"limit": 2}, fails="now",
        says="limit: narrowed: minimum changed from 1 to 2",
    ),
    "a field sealed": Change(
        {"word": Annotated[Sealed[Notifications], Privacy.PERSONAL]}, sample={"word": JWE}, fails="then",
        says="word: was in the clear and is sealed to notifications",
    ),
    "a field unsealed": Change(
        {"address": Annotated[str, OPEN]}, sample={"address": "a"}, fails="then",
        says="address: was sealed to notifications and is in the clear",
    ),
    "another reader": Change(
        {"address": Annotated[Sealed[Literal["cases"]], Privacy.PERSONAL]},
        says="address: was sealed to notifications and is sealed to cases",
    ),
    "another privacy class of a sealed field": Change(
        {"address": Annotated[Sealed[Notifications], Privacy.SECRET]},
        says='address: privacy class changed from "personal" to "secret"',
    ),
    "another privacy class in the clear": Change(
        {"count": Annotated[int, Field(ge=1, le=9), Privacy.ID]},
        says='count: privacy class changed from "open" to "id"',
    ),
    "another key": Change(
        options={"key": "owner_id"}, says='v1: its key changed from "thing_id" to "owner_id"'
    ),
    "another topic": Change(
        options={"topic": DELIVERIES}, says='v1: its topic changed from "auth.accounts.v1" to "notifications.deliveries.v1"'
    ),
    "overtaking": Change(options={"overtakes": True}, says="v1: its overtakes changed from false to true"),
}  # fmt: skip


def compare(change: Change) -> list[compatibility.Break]:
    return compatibility.breaks({KIND: schema_of(THEN.made())}, {KIND: schema_of(change.made())})


@pytest.mark.parametrize("name", ALLOWED)
def test_what_breaks_nobody_is_allowed_and_is_read_by_both(name: str) -> None:
    change = ALLOWED[name]
    assert compare(change) == []
    THEN.made().model_validate_json(change.written())
    change.made().model_validate_json(THEN.written())


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_somebody_is_refused_in_words_that_say_what_to_do(name: str) -> None:
    found = [str(each) for each in compare(REFUSED[name])]
    assert len(found) == REFUSED[name].breaks
    assert REFUSED[name].says in found[0]
    assert found[0].startswith(KIND)
    assert "publish auth.ThingChanged.v2 beside it" in found[0]


@pytest.mark.parametrize("name", [name for name, change in REFUSED.items() if change.fails])
def test_what_is_refused_would_indeed_not_be_read(name: str) -> None:
    change = REFUSED[name]
    then, now = THEN.made(), change.made()
    then.model_validate_json(THEN.written())
    now.model_validate_json(change.written())
    with pytest.raises(ValidationError):
        if change.fails == "then":
            then.model_validate_json(change.written())
        else:
            now.model_validate_json(THEN.written())


def test_a_type_that_is_gone_is_refused_and_one_that_is_new_is_not() -> None:
    schema = schema_of(THEN.made())
    (gone,) = compatibility.breaks({KIND: schema}, {})
    assert str(gone).startswith(f"{KIND}: removed, though topics and archives still hold it")
    assert compatibility.breaks({}, {KIND: schema}) == []


def test_the_next_major_version_beside_the_released_one_may_be_anything() -> None:
    schema, other = schema_of(THEN.made()), schema_of(REFUSED["a field retyped"].made())
    assert compatibility.breaks({KIND: schema}, {KIND: schema, "auth.ThingChanged.v2": other}) == []


@pytest.mark.parametrize("keyword", ["multipleOf", "uniqueItems", "patternProperties", "x-unheard-of"])
def test_a_keyword_that_nobody_thought_of_is_taken_for_a_break(keyword: str) -> None:
    then = schema_of(THEN.made())
    now = json.loads(json.dumps(then))
    now["properties"]["count"][keyword] = {"title": {}}
    (found,) = compatibility.breaks({KIND: then}, {KIND: now})
    assert f"field count: narrowed: {keyword} changed from nothing to" in str(found)
    (other,) = compatibility.breaks({KIND: now}, {KIND: then})
    assert f"field count: widened: {keyword} changed from" in str(other)


def test_order_means_nothing() -> None:
    then = schema_of(THEN.made())
    now = json.loads(json.dumps(then))
    now["properties"] = dict(reversed(now["properties"].items()))
    now["required"].reverse()
    now["properties"]["colour"]["enum"].reverse()
    now["properties"]["limit"]["anyOf"].reverse()
    assert compatibility.breaks({KIND: then}, {KIND: now}) == []


def test_several_changes_are_all_told() -> None:
    both = Change({"count": Annotated[str, OPEN]}, without="word", options={"overtakes": True})
    assert [(found.type, found.field) for found in compare(both)] == [(KIND, None), (KIND, "count"), (KIND, "word")]


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.type)
def test_every_message_is_compatible_with_itself(message: type[Message]) -> None:
    schema = schema_of(message)
    assert compatibility.breaks({message.type: schema}, {message.type: json.loads(json.dumps(schema))}) == []
