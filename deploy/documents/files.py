"""Files: what `make docs` writes, whether it is what lies there, and the schemas of the last release."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from contracts import catalogue, compatibility
from contracts.catalogue import Schema, text_of
from deploy.documents import asyncapi, examples, openapi, page
from deploy.documents.system import System
from deploy.local.folders import CHECKOUT
from deploy.observability import grafana

SCHEMAS, RELEASED = Path("contracts/schemas"), Path("contracts/released")
EXAMPLES, DIGESTS = Path("contracts/examples"), RELEASED / "examples.sha256"
ASYNCAPI, OPENAPI, PAGE = Path("docs/asyncapi"), Path("docs/openapi"), Path("docs/messages.md")


def made(system: System) -> dict[Path, str]:
    """Make every file, by its path from the checkout's root; the same code makes the same bytes."""
    schemas = {SCHEMAS / f"{message.type}.json": text_of(catalogue.schema_of(message)) for message in system.messages}
    services = {
        ASYNCAPI / f"{service.name}.json": text_of(asyncapi.document(system, service)) for service in system.services
    }
    services |= {
        OPENAPI / f"{service.name}.json": text_of(openapi.document(service.name)) for service in system.services
    }
    return {**schemas, **services, PAGE: page.text(system), **grafana.made()}


def write(files: dict[Path, str], root: Path = CHECKOUT) -> list[Path]:
    """Bring what lies there up to date; gives the files that were written or removed."""
    stale = [path for path, _ in _stale(files, root)]
    for path in stale:
        if path in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
        else:
            (root / path).unlink()
    return stale


def complaints(system: System, root: Path = CHECKOUT) -> list[str]:
    """Say what is wrong with the messages and what tells of them, and what to do about each."""
    present = {message.type: catalogue.schema_of(message) for message in system.messages}
    return [
        *(str(each) for each in compatibility.breaks(released(root), present)),
        *_without_example(present, root),
        *_tampered(root),
        *(f"{path} {why}: run `make docs`" for path, why in _stale(made(system), root)),
    ]


def released(root: Path = CHECKOUT) -> dict[str, Schema]:
    """Give the schemas of the last release, by type."""
    return {path.stem: examples.read_json(path) for path in sorted((root / RELEASED).glob("*.json"))}


def release(system: System, root: Path = CHECKOUT) -> list[Path]:
    """Make the present schemas and examples those of the last release; gives the files that changed."""
    schemas = {RELEASED / f"{each.type}.json": text_of(catalogue.schema_of(each)) for each in system.messages}
    examples_now = sorted((root / EXAMPLES).glob("*/*.json"))
    digests = "".join(f"{_digest(path)}  {path.relative_to(root)}\n" for path in examples_now)
    return write({**schemas, DIGESTS: digests}, root)


def _stale(files: dict[Path, str], root: Path) -> Iterator[tuple[Path, str]]:
    """Give the files that are not what they should be; whatever else lies in their folders should not be there."""
    for path, text in files.items():
        if not (root / path).is_file():
            yield path, "is missing"
        elif (root / path).read_text(encoding="utf-8") != text:
            yield path, "is stale"
    for folder in sorted({path.parent for path in files} - {PAGE.parent}):
        for lying in sorted((root / folder).glob("*.json")):
            if (path := lying.relative_to(root)) not in files:
                yield path, "describes nothing that is there any more"


def _without_example(present: dict[str, Schema], root: Path) -> Iterator[str]:
    for kind, schema in present.items():
        shown = {name for example in examples.of_type(kind, root / EXAMPLES) for name in example.data}
        if lacking := [name for name in schema["properties"] if name not in shown]:
            what = f"no example of {', '.join(lacking)}" if shown else "no example"
            yield f"{kind} has {what} in contracts/examples: run `python -m tests.contracts.golden {kind} < fields.json`"


def _tampered(root: Path) -> Iterator[str]:
    """Give the released examples that are not as they were: a line of `sha256sum` each."""
    lines = (root / DIGESTS).read_text(encoding="utf-8").splitlines() if (root / DIGESTS).is_file() else []
    for digest, _, name in (line.partition("  ") for line in lines):
        if not (root / name).is_file() or _digest(root / name) != digest:
            yield f"{name} was released and is not as it was: restore it, and keep what is new as another example"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
