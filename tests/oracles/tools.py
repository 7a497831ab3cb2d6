"""Tools: independent readers that npm has, installed once into the checkout's own folder."""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.local.folders import CHECKOUT

HERE = Path(__file__).parent
FILES = (".npmrc", "asyncapi.mjs", "package-lock.json", "package.json")
OLDEST_NODE = 18


def parse_asyncapi(documents: Sequence[object]) -> list[dict[str, Any]]:
    """Let the AsyncAPI project's parser read documents; gives the channels, operations and diagnostics of each."""
    node, script = _program("node"), _installed() / "asyncapi.mjs"
    run = subprocess.run([node, script], input=json.dumps(documents), capture_output=True, text=True, check=True)
    said: list[dict[str, Any]] = json.loads(run.stdout)
    return said


def _program(name: str) -> str:
    """Find a program of Node.js; skips the test where it is missing or too old."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not in PATH: install Node.js {OLDEST_NODE} or later (Debian: apt install nodejs npm)")
    if name == "node":
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
            pytest.skip(f"node is {version}: Node.js {OLDEST_NODE} or later is needed")
    return found


def _installed() -> Path:
    """Give the folder where the tools lie; whoever comes first installs them, others wait."""
    npm = _program("npm")
    content = b"".join((HERE / name).read_bytes() for name in FILES)
    folder = CHECKOUT / ".local" / f"oracles-{hashlib.sha256(content).hexdigest()[:12]}"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _install(npm, folder)
    return folder


def _install(npm: str, folder: Path) -> None:
    """Install beside the folder and rename: it is complete or not there. The caller holds the lock."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in FILES:
        shutil.copy(HERE / name, partial)
    command = [npm, "ci", "--no-audit", "--no-fund"]
    run = subprocess.run(command, cwd=partial, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"npm ci in {partial} failed:\n{run.stderr[-2000:]}"
    partial.rename(folder)
