"""Systems: who outside may ask for something here, by which keys, for what, and on whose behalf; read once, at the start."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis import signing
from chassis.errors import Misconfigured
from chassis.signing import Key
from contracts.requests import SOURCE

ANY = "*"
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class _File(BaseModel):
    """A system as it is configured: a JWK Set (RFC 7517) with two members more."""

    model_config = ConfigDict(extra="forbid")

    keys: list[dict[str, Any]] = Field(min_length=1)
    requests: frozenset[str]
    organisations: frozenset[UUID | Literal["*"]]
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class System:
    """A system outside: its public keys by `kid`, and what it may ask for."""

    name: str
    keys: Mapping[str, Key]
    requests: frozenset[str] = frozenset()
    organisations: frozenset[UUID | str] = frozenset()
    rights: frozenset[str] = frozenset()
    """What its access tokens carry, each in those of its own service."""

    def may_ask(self, kind: str) -> bool:
        """Tell whether it may send requests of this type."""
        return kind in self.requests

    def may_act_for(self, organisation: UUID | None) -> bool:
        """Tell whether it may act for an organisation; a request for none is for all."""
        return ANY in self.organisations or organisation in self.organisations


class Systems:
    """All systems that this service listens to."""

    def __init__(self, systems: Mapping[str, System] | None = None) -> None:
        self._systems = systems or {}

    @classmethod
    def load(cls, folder: Path | None) -> "Systems":
        """Read `<folder>/<system>.json` of each; without a folder there is none, and every request is refused.

        Raises `Misconfigured` naming the file for one that is not right, or a key that two systems share.
        """
        if folder is None:
            return cls()
        if not folder.is_dir():
            raise Misconfigured(f"the folder of systems {folder} does not exist")
        systems = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
        owners: dict[str, str] = {}
        for system in systems.values():
            for key in system.keys.values():
                if (owner := owners.setdefault(key.thumbprint(), system.name)) != system.name:
                    raise Misconfigured(f"{folder}: {owner} and {system.name} share a key; each needs its own")
        return cls(systems)

    def find(self, name: str) -> System | None:
        return self._systems.get(name)

    def of_source(self, source: str) -> System | None:
        """Find the system that a `ce_source` names."""
        return self.find(source.removeprefix(SOURCE)) if source.startswith(SOURCE) else None

    def __iter__(self) -> Iterator[System]:
        return iter(self._systems.values())


def _read(path: Path) -> System:
    if not NAME.fullmatch(path.stem):
        raise Misconfigured(f"{path}: a system is named by lower-case letters, digits and hyphens")
    try:
        found = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"the system {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise Misconfigured(f"{path} is not a system's file: {faults}") from None
    return System(path.stem, signing.public_keys(found.keys, path), found.requests, found.organisations, found.rights)


def describe(name: str, keys: list[Key], requests: list[str], organisations: list[str]) -> tuple[str, str]:
    """Write a system's file: its name and its text."""
    public = [key.as_dict(private=False) for key in keys]
    content = {"keys": public, "requests": requests, "organisations": organisations}
    return f"{name}.json", json.dumps(content, indent=2) + "\n"
