"""What Kafka runs on: Java 17 or newer, and Kafka's jars, fetched once per checkout with Maven."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local import processes
from deploy.local.errors import SetupError
from deploy.local.folders import CHECKOUT

ADDRESS = "SAMBAND_LOCAL_KAFKA"
VERSION = "4.4.0"
NODE_FILES = Path(__file__).with_name("kafka_node")

_OLDEST_JAVA = 17
_INSTALL = f"""
  Debian, Ubuntu:  sudo apt install openjdk-21-jre-headless maven     (Debian 12: openjdk-17-jre-headless maven)
  macOS:           brew install openjdk maven
                   export JAVA_HOME="$(brew --prefix openjdk)/libexec/openjdk.jdk/Contents/Home"
Or give the address of a Kafka that runs already: {ADDRESS}=host:port"""


async def java() -> Path:
    """The Java program, from JAVA_HOME or the path; raise `SetupError` when it is missing or too old."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        raise SetupError(f"Kafka needs Java {_OLDEST_JAVA} or newer; there is no java in {_place(home)}.{_INSTALL}")
    version = await _java_version(Path(found))
    if version < _OLDEST_JAVA:
        said = f"is Java {version}" if version else "does not say its version (on macOS: no Java is behind it)"
        raise SetupError(f"Kafka needs Java {_OLDEST_JAVA} or newer; {found} {said}.{_INSTALL}")
    return Path(found)


async def jars(progress: Callable[[str], None], *, store: Path = CHECKOUT / ".local") -> Path:
    """The folder with Kafka's jars: all of them or `SetupError`; two runs at once fetch them once."""
    folder = store / f"kafka-{VERSION}"
    async with _locked(store / f"kafka-{VERSION}.lock", progress):
        if not _current(folder):
            progress(f"fetching Apache Kafka {VERSION} with Maven, 43 MB, this once …")
            await _fetch(folder)
    return folder


def _place(home: str | None) -> str:
    return f"JAVA_HOME ({home}/bin)" if home else "PATH, and JAVA_HOME is not set"


async def _java_version(program: Path) -> int:
    """The feature release, or 0 when it does not say: `17.0.15` is 17 and `1.8.0_412` is 8."""
    child = await asyncio.create_subprocess_exec(
        program, "-version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    match = re.search(rb'version "(?:1\.)?(\d+)', output)
    return int(match[1]) if match else 0


def _current(folder: Path) -> bool:
    """Whether the jars there are those that today's pom asks for."""
    kept = folder / "pom.xml"
    return kept.exists() and kept.read_bytes() == (NODE_FILES / "pom.xml").read_bytes()


async def _fetch(folder: Path) -> None:
    """Fetch beside the folder and rename: it is complete or not there. The caller holds the lock."""
    maven = shutil.which("mvn")
    if maven is None:
        raise SetupError(f"Kafka's jars are fetched with Maven; there is no mvn in PATH.{_INSTALL}")
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    shutil.copy(NODE_FILES / "pom.xml", partial)
    options = ["-q", "-B", "--strict-checksums", "-f", str(partial / "pom.xml")]
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
    process = await processes.start("Maven", [maven, *options, *goal], log=partial / "log")
    await processes.finish(process, within=600)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


@asynccontextmanager
async def _locked(path: Path, progress: Callable[[str], None]) -> AsyncIterator[None]:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as lock:
        if not _taken(lock.fileno()):
            progress("another run is fetching Kafka: waiting for it …")
            while not _taken(lock.fileno()):  # noqa: ASYNC110 - the other run is another process
                await asyncio.sleep(0.1)
        yield


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
