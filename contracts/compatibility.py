"""Compatibility: what may change in a message within its major version, and what breaks somebody.

A reader of the last release must read what is written now, and a reader of now what was written then: archives are
replayed, and readers and writers are never deployed together. So fields may be added that may be missing, words may
change, and nothing else; what a schema says and this module does not know is taken for a break.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
Found = tuple[str, str]
"""A path into a field, and what is wrong there."""

WORDS = frozenset({"$schema", "$id", "title", "description", "examples", "deprecated"})
KIND = frozenset({"type", "format", "contentMediaType"})
FLOORS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
CEILINGS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_NAMES = {"x-privacy": "privacy class"}
NARROWED = "though what was published may not fit"
WIDENED = "though readers of the last release refuse what is new"


_ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "nothing"})()


@dataclass(frozen=True, slots=True)
class Break:
    """One change that breaks readers; its text says where, what, and what to do instead."""

    type: str
    field: str | None
    what: str
    instead: str = ""

    def __str__(self) -> str:
        where = f"{self.type}, field {self.field}" if self.field else self.type
        stem, _, major = self.type.rpartition(".v")
        beside = f"leave {self.type} as it was released and publish {stem}.v{int(major) + 1} beside it"
        return f"{where}: {self.what}; {self.instead}{beside}"


def breaks(released: Mapping[str, Schema], present: Mapping[str, Schema]) -> list[Break]:
    """Compare all messages, by type, with those of the last release; a type that is new breaks nobody."""
    found: list[Break] = []
    for kind, old in sorted(released.items()):
        if kind in present:
            found += _message(kind, old, present[kind])
        else:
            found.append(Break(kind, None, "removed, though topics and archives still hold it"))
    return found


def _message(kind: str, old: Schema, new: Schema) -> Iterator[Break]:
    for name in sorted({*old, *new} - WORDS - {"properties", "required"}):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if before != after:
            yield Break(kind, None, f"its {name.removeprefix('x-')} changed from {_said(before)} to {_said(after)}")
    for name in old["properties"]:
        if name in new["properties"]:
            yield from (Break(kind, path, what) for path, what in _field(name, old, new))
        else:
            yield Break(kind, name, "removed (or renamed), though readers of the last release may need it")
    for name in new["properties"]:
        if name in new["required"] and name not in old["properties"]:
            yield Break(kind, name, "added as required, though what was published lacks it", "give it a default, or ")


def _field(name: str, old: Schema, new: Schema) -> Iterator[Found]:
    before, after = old["properties"][name], new["properties"][name]
    was, is_ = name in old["required"], name in new["required"]
    if was and not is_:
        yield name, "made optional, though readers of the last release require it"
    elif is_ and not was:
        yield name, "made required, though what was published may lack it"
    elif before.get("default", _ABSENT) != after.get("default", _ABSENT):
        said = " to ".join(_said(each.get("default", _ABSENT)) for each in (before, after))
        yield name, f"default changed from {said}, though a message without it then says another thing"
    yield from _differences(name, before, after)


def _differences(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    readers = old.get("x-sealed-to"), new.get("x-sealed-to")
    if readers[0] != readers[1]:
        was, is_ = (f"sealed to {reader}" if reader else "in the clear" for reader in readers)
        yield path, f"was {was} and is {is_}"
    elif _kind(old) != _kind(new):
        yield path, f"retyped from {_kind(old)} to {_kind(new)}"
    else:
        before, after = _plain(old), _plain(new)
        for name in sorted({*before, *after} - WORDS - KIND - {"default"}):
            yield from _keyword(path, name, before.get(name, _ABSENT), after.get(name, _ABSENT))


def _keyword(path: str, name: str, before: Any, after: Any) -> Iterator[Found]:
    if before == after:
        return
    if before is _ABSENT or after is _ABSENT or name not in {"items", "additionalProperties", "anyOf", "enum"}:
        yield path, _constraint(name, before, after)
    elif name == "enum":
        yield from ((path, f"value {_said(value)} taken away, {NARROWED}") for value in before if value not in after)
        yield from ((path, f"value {_said(value)} added, {WIDENED}") for value in after if value not in before)
    elif name == "anyOf":  # Of one kind, and so of the same branches.
        for one, other in zip(before, after, strict=True):
            yield from _differences(path, one, other)
    elif isinstance(before, dict) and isinstance(after, dict):
        yield from _differences(f"{path}[]", before, after)
    else:
        yield path, _constraint(name, before, after)


def _constraint(name: str, before: Any, after: Any) -> str:
    change = f"{_NAMES.get(name, name)} changed from {_said(before)} to {_said(after)}"
    if before is _ABSENT:
        return f"narrowed: {change}, {NARROWED}"
    if after is _ABSENT:
        return f"widened: {change}, {WIDENED}"
    if name not in FLOORS | CEILINGS:
        return change
    return (
        f"narrowed: {change}, {NARROWED}" if (after > before) == (name in FLOORS) else f"widened: {change}, {WIDENED}"
    )


def _plain(schema: Schema) -> Schema:
    """Write a schema so that what means the same is the same: a constant as an enum of one, branches in order."""
    plain = dict(schema)
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    if "anyOf" in plain:
        plain["anyOf"] = sorted(plain["anyOf"], key=_kind)
    return plain


def _kind(schema: Schema) -> str:
    """Say of what type a value is, such as `string (uuid)` or `integer or null`."""
    if "anyOf" in schema:
        return " or ".join(sorted(map(_kind, schema["anyOf"])))
    kind = str(schema.get("type", "anything"))
    details = [str(schema[name]) for name in ("format", "contentMediaType") if name in schema]
    return f"{kind} ({', '.join(details)})" if details else kind


def _said(value: Any) -> str:
    return repr(value) if value is _ABSENT else json.dumps(value, ensure_ascii=False)
