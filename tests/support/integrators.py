"""The programs of docs/integrate.md, run as they stand there by somebody who has nothing but the page."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from chassis import signing
from deploy.local import kafka_jars
from deploy.local.folders import CHECKOUT
from deploy.local.platform import SYSTEM, Platform

PAGE = (CHECKOUT / "docs" / "integrate.md").read_text(encoding="utf-8")
PROGRAM = re.compile(
    r"^```\w+\n(?P<text>(?:#![^\n]*\n)?(?:#|//) (?P<name>[\w-]+\.\w+).*?)^```$", re.MULTILINE | re.DOTALL
)
PROGRAMS = {found["name"]: found["text"] for found in PROGRAM.finditer(PAGE)}
JARS = CHECKOUT / ".local" / f"kafka-{kafka_jars.VERSION}"
INTERPRETERS = {
    "py": [sys.executable],
    "java": ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*"],  # Soon over, soon begun.
    "sh": ["sh"],
}
ORGANISATION = "0199f0a0-0000-7000-8000-000000000002"
NEEDS = {"py": (), "java": ("java", "javac"), "sh": ("kcat", "jose", "openssl", "jq", "curl", "basenc")}


def lacks(kind: str) -> str | None:
    """Say what this machine lacks to run programs of a kind."""
    missing = [name for name in NEEDS[kind] if shutil.which(name) is None]
    if kind == "java" and not JARS.is_dir():
        missing.append(str(JARS.relative_to(CHECKOUT)))
    return f"not installed: {', '.join(missing)}" if missing else None


@dataclass(frozen=True, slots=True)
class Integrator:
    """A system outside, with its key as openssl makes one and the settings that the page names."""

    folder: Path
    settings: Mapping[str, str]

    @classmethod
    def of(cls, samband: Platform, folder: Path) -> "Integrator":
        key = signing.read_key(samband.system_key)
        (folder / "key.pem").write_bytes(key.as_pem(private=True))
        settings = {
            "KAFKA": samband.running.kafka,
            "PREFIX": samband.topic_prefix,
            "SYSTEM": SYSTEM,
            "ORGANISATION": ORGANISATION,
            "AUTH": samband.url("auth", "api"),
            "KID": str(key.kid),
            "KEY": str(folder / "key.pem"),
        }
        return cls(folder, settings)

    @asynccontextmanager
    async def running(self, name: str, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a program of the page; killed at the end if it still runs."""
        file = self.folder / name
        file.write_text(PROGRAMS[name], encoding="utf-8")
        program = INTERPRETERS[name.rpartition(".")[2]]
        environment = {**os.environ, **self.settings}
        process = await asyncio.create_subprocess_exec(
            *program, str(file), *words, env=environment, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                os.killpg(process.pid, 9)
                await process.communicate()

    async def said(self, name: str, *words: str, code: int = 0) -> str:
        """Run a program to its end, which must be by this exit code, and give what it printed."""
        async with self.running(name, *words) as process, asyncio.timeout(90):
            said, _ = await process.communicate()
        assert process.returncode == code, name
        return said.decode()

    def asking(self, request: UUID, registration: UUID) -> "Integrator":
        """Give the same system, that asks under ids of its own."""
        ids = {"REQUEST_ID": str(request), "REGISTRATION_ID": str(registration)}
        return replace(self, settings={**self.settings, **ids})

    async def sees(self, name: str, topic: str, *parts: str) -> str:
        """Run a program that watches a topic until it prints a line with all these parts in it."""
        async with self.running(name, topic) as process, asyncio.timeout(90):
            assert process.stdout is not None
            async for line in process.stdout:
                if all(part in line.decode() for part in parts):
                    return line.decode()
        raise AssertionError(f"{name} ended without {parts}")
