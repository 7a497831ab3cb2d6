"""Lending: how this machine's pip finds packages, lent to a build for as long as it lasts; none of it stays in an image."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

LENT = ("index-url", "extra-index-url", "proxy", "trusted-host")
_INSIDE = "/run/certificates.pem"


@contextmanager
def secrets() -> Iterator[list[str]]:
    """Give the options with which an engine's build mounts pip's configuration, and the certificates it trusts."""
    with TemporaryDirectory(prefix="samband-build-") as name:
        folder = Path(name)
        known = _pip()
        lines = [f"{key} = {known[key]}" for key in LENT if key in known]
        options = [f"--secret=id=pip.conf,src={folder / 'pip.conf'}"]
        certificates = known.get("cert") or os.environ.get("SSL_CERT_FILE")
        if certificates:
            lines.append(f"cert = {_INSIDE}")
            options.append(f"--secret=id=certificates,src={certificates}")
        (folder / "pip.conf").write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
        yield options


def _pip() -> Mapping[str, str]:
    """Read pip's configuration, wherever it stands: `global.index-url='…'`, `:env:.cert='…'`."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    # What the environment says comes last, and so wins.
    lines = sorted(listed.stdout.splitlines(), key=lambda line: line.startswith(":env:"))
    settings = (line.split("=", 1) for line in lines if "=" in line)
    return {name.rpartition(".")[2]: str(ast.literal_eval(value)) for name, value in settings}
