"""Engine: the container engine of this machine, by its command: Podman, else Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy.local.errors import SetupError

WITHOUT_SYSTEMD = Path(__file__).with_name("containers.conf")
"""What Podman needs where systemd does not run, as in most containers and small virtual machines."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answered."""

    program: str
    environment: Mapping[str, str]

    def run(self, *arguments: str | Path, stdin: IO[bytes] | None = None) -> str:
        """Run a command of the engine and give what it wrote; raises `SetupError` with the end of what it said."""
        done = subprocess.run(
            [self.program, *arguments],
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            env=self.environment,
            check=False,
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")[-3000:]
            raise SetupError(f"{Path(self.program).name} {arguments[0]} failed:\n{said}")
        return done.stdout.decode()

    def has(self, image: str) -> bool:
        """Whether the image is there, without asking any registry."""
        return bool(self.run("images", "--quiet", image).strip())


def find() -> Engine:
    """Find an engine that answers; raises `SetupError` saying what was tried."""
    tried = []
    for name in ("podman", "docker"):
        program = shutil.which(name)
        if program is None:
            tried.append(f"{name} is not in PATH")
            continue
        engine = Engine(program, environment(name))
        try:
            engine.run("info")
        except SetupError as error:
            tried.append(f"{name} does not answer ({str(error).splitlines()[-1]})")
        else:
            return engine
    raise SetupError(f"no container engine: {'; '.join(tried)} (Debian: apt install podman runc)")


def environment(name: str) -> Mapping[str, str]:
    """Give what an engine's command is to run with."""
    if name != "podman" or "CONTAINERS_CONF" in os.environ or Path("/run/systemd/system").exists():
        return os.environ
    return {**os.environ, "CONTAINERS_CONF": str(WITHOUT_SYSTEMD)}
