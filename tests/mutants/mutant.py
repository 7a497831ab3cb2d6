"""Mutant: which text of which file is replaced, what is lost with it, and who must notice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Assertions:
    """Tests by their pytest ids; one of them must fail in an assertion that it makes itself."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds of the fault suite, each with the same faults; their closing lines must name a damage that is expected.

    The seed decides where a process dies: choose one whose deaths come at the places that matter, and seconds apart.
    """

    injuries: tuple[str, ...]
    commands: int = 300
    pace: float = 40.0
    first_seed: int = 1
    seeds: int = 1
    books: int = 25


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that the file must hold exactly once, and what stands there instead."""

    text: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A single safety piece switched off. `damages` are names of the fault suite's closing lines, for a `Rounds`."""

    name: str
    lost: str
    """What no longer holds, as a sentence."""
    file: str
    edits: tuple[Edit, ...]
    catcher: Assertions | Rounds
    damages: frozenset[str] = frozenset()


class Stale(Exception):
    """The code has changed: the mutant's text is not there once."""


def mutate(mutant: Mutant, tree: Path) -> str:
    """Give the file's source with the piece switched off; raises `Stale`."""
    source = (tree / mutant.file).read_text(encoding="utf-8")
    for edit in mutant.edits:
        if (count := source.count(edit.text)) != 1:
            raise Stale(f"{mutant.file} holds {edit.text.strip().splitlines()[0]!r} {count} times")
        source = source.replace(edit.text, edit.replacement)
    return source


@contextmanager
def applied(mutant: Mutant, tree: Path) -> Iterator[None]:
    """Keep a tree mutated for the block; raises `Stale`."""
    path, mutated = tree / mutant.file, mutate(mutant, tree)
    before = path.read_text(encoding="utf-8")
    path.write_text(mutated, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")
