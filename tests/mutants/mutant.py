"""Mutant: which text of which file is replaced, what is lost with it, and who must notice."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Assertions:
    """Assertions by their pytest ids; one of them must fail in an assertion."""

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
    file: str = ""
    """Where it is not the mutant's own file."""


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


def mutate(mutant: Mutant, tree: Path) -> dict[Path, str]:
    """Give the sources of the files that change, with the piece switched off; raises `Stale`."""
    sources: dict[Path, str] = {}
    for edit in mutant.edits:
        path = tree / (edit.file or mutant.file)
        source = sources.get(path) or path.read_text(encoding="utf-8")
        if (count := source.count(edit.text)) != 1:
            raise Stale(f"{path.relative_to(tree)} holds {edit.text.strip().splitlines()[0]!r} {count} times")
        sources[path] = source.replace(edit.text, edit.replacement)
    return sources


@contextmanager
def applied(mutant: Mutant, tree: Path) -> Iterator[None]:
    """Keep a tree mutated for the block; raises `Stale`."""
    mutated = mutate(mutant, tree)
    before = {path: path.read_text(encoding="utf-8") for path in mutated}
    _write(mutated)
    try:
        yield
    finally:
        _write(before)


def _write(sources: Mapping[Path, str]) -> None:
    for path, source in sources.items():
        path.write_text(source, encoding="utf-8")
