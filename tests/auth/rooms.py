"""Rooms: the feature folders of auth, which all have the same file names."""

import importlib
from pathlib import Path
from types import ModuleType

import services.auth

FOLDER = Path(services.auth.__file__).parent


def modules(name: str) -> list[ModuleType]:
    """Import every module of auth that has this file name, alone or behind the name of a feature (`users_store`)."""
    found = sorted(path.relative_to(FOLDER.parents[1]).with_suffix("") for path in FOLDER.rglob(f"*{name}.py"))
    return [importlib.import_module(".".join(path.parts)) for path in found]
