"""Key sets: the keys that an operator would mount, made for one run, and those of systems outside."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from chassis import sealing, signing
from chassis.systems import ANY, describe


def make(folder: Path, services: Iterable[str]) -> None:
    """Write `public/<service>.json` and `private/<service>.json` for each, as JWK Sets."""
    for name in ("public", "private"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for service in services:
        key = sealing.new_key(f"{service}-1")
        for half, private in (("public", False), ("private", True)):
            path = folder / half / f"{service}.json"
            path.write_text(json.dumps({"keys": [key.as_dict(private=private)]}), encoding="utf-8")
            path.chmod(0o600)


def make_system(
    folder: Path, name: str, requests: Iterable[str], organisations: Iterable[str] = (ANY,), *, curve: str = "Ed25519"
) -> Path:
    """Let a system send requests: write `systems/<name>.json` for the services, and `outside/<name>.json` for itself."""
    key = signing.new_key(f"{name}-1", curve)
    file, text = describe(name, [key], list(requests), list(organisations))
    for half, content in (("systems", text), ("outside", json.dumps(key.as_dict(private=True)))):
        (folder / half).mkdir(parents=True, exist_ok=True)
        (folder / half / file).write_text(content, encoding="utf-8")
        (folder / half / file).chmod(0o600)
    return folder / "outside" / file


def make_tokens(folder: Path) -> tuple[Path, Path]:
    """Make the key that access tokens are signed with: the public set for every service, and the private one of auth."""
    key = signing.new_key("auth-tokens-1")
    public, private = folder / "tokens" / "public.json", folder / "tokens" / "private.json"
    for path, content in (
        (public, {"keys": [key.as_dict(private=False)]}),
        (private, {"keys": [key.as_dict(private=True)]}),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        path.chmod(0o600)
    return public, private
