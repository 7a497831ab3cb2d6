"""Examples: a record of every message and version ever released, as it lies in Kafka; none is ever changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.catalogue import text_of
from deploy.local.folders import CHECKOUT

FOLDER = CHECKOUT / "contracts" / "examples"


class NotReadable(Exception):
    """A file of the contracts is not what it must be; the text names it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A record; what the wire has as bytes stands here as their text."""

    topic: str
    key: str
    headers: dict[str, str]
    value: str

    @classmethod
    def read(cls, path: Path) -> Example:
        """Read one from its file; raises `NotReadable`."""
        try:
            example = cls(**read_json(path))
        except TypeError:
            raise NotReadable(f"{path} must hold topic, key, headers and value, and nothing else") from None
        try:
            fields = example.data
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise NotReadable(f"{path}: its value must be the text of a JSON object")
        return example

    @property
    def data(self) -> dict[str, Any]:
        """Give the value's fields."""
        fields: dict[str, Any] = json.loads(self.value)
        return fields


def read_json(path: Path) -> Any:
    """Read a file of JSON; raises `NotReadable`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotReadable(f"{path} is not JSON: {error}") from None


def of_type(kind: str, folder: Path = FOLDER) -> list[Example]:
    """Give the examples of a type, the oldest first."""
    return [Example.read(path) for path in _paths(kind, folder)]


def add(kind: str, example: Example, folder: Path = FOLDER) -> Path:
    """Keep one more example of a type, numbered behind the others."""
    path = folder / kind / f"{len(_paths(kind, folder)) + 1}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(asdict(example)), encoding="utf-8")
    return path


def _paths(kind: str, folder: Path) -> list[Path]:
    paths = list((folder / kind).glob("*.json"))
    if other := [path for path in paths if not path.stem.isdecimal()]:
        raise NotReadable(f"{other[0]} must be named by its number, such as 1.json")
    return sorted(paths, key=lambda path: int(path.stem))
