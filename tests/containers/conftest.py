"""A container engine and the images of today's sources; where either is missing, the tests say so and are skipped."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.containers import engine, images
from deploy.containers.engine import Engine
from deploy.local import kafka, postgres, processes
from deploy.local.containers import MODE
from deploy.local.errors import SetupError
from deploy.local.folders import own_folder

MAKE = "`make containers` builds it and runs this"


@pytest.fixture(scope="session")
def runner() -> Engine:
    """The engine, whichever it is."""
    try:
        return engine.find()
    except SetupError as error:
        pytest.skip(str(error))


def there(runner: Engine, *names: str) -> str:
    """Give the first of the images that is there; skips the test where none is."""
    for name in names:
        if runner.has(name):
            return name
    pytest.skip(f"there is no image {' or '.join(names)}: {MAKE}")


@pytest.fixture(scope="session")
def services_image(runner: Engine) -> str:
    return there(runner, images.services_name())


@dataclass(frozen=True, slots=True)
class Local:
    """The local stack's environment when it takes its servers from images."""

    runner: Engine
    environment: dict[str, str]

    def running(self) -> set[str]:
        """Give the ids of the containers that run or are left behind, made from the two images."""
        mine = tuple(self.environment[name] for name in (postgres.IMAGE, kafka.IMAGE))
        lines = self.runner.run("ps", "--all", "--format", "{{.ID}} {{.Image}}").splitlines()
        return {line.split()[0] for line in lines if line.endswith(mine)}


@pytest.fixture
async def local(runner: Engine, tmp_path: Path) -> AsyncIterator[Local]:
    """An engine that answers on a socket, as testcontainers asks for it, and images to take."""
    chosen = {
        postgres.IMAGE: os.environ.get(postgres.IMAGE)
        or there(runner, images.postgres_name(), postgres.OFFICIAL_IMAGE),
        kafka.IMAGE: os.environ.get(kafka.IMAGE) or there(runner, images.kafka_name(), kafka.OFFICIAL_IMAGE),
    }
    environment = {**runner.environment, **chosen, MODE: "always"}
    for name in (postgres.ADDRESS, kafka.ADDRESS):
        environment.pop(name, None)
    if "DOCKER_HOST" in environment or not runner.program.endswith("podman"):
        yield Local(runner, environment)
        return
    with own_folder("test") as folder:
        socket = folder / "engine"
        command = [runner.program, "system", "service", "--time=0", f"unix://{socket}"]
        service = await processes.start("podman", command, log=tmp_path / "log", environment=runner.environment)

        async def exists() -> bool:
            return await asyncio.to_thread(socket.exists)

        async with processes.running(service):
            await processes.ready(service, exists, within=30)
            yield Local(runner, {**environment, "DOCKER_HOST": f"unix://{socket}"})


@pytest.fixture
def run_log(tmp_path: Path) -> Path:
    """Where a process that a test starts writes to."""
    return tmp_path / "stack.log"


@pytest.fixture(scope="module")
def label(runner: Engine) -> Iterator[str]:
    """A mark for a module's containers; those that are left at its end are removed."""
    mark = f"samband.test={secrets.token_hex(6)}"
    yield mark
    left = runner.run("ps", "--all", "--quiet", "--filter", f"label={mark}").split()
    if left:
        runner.run("rm", "--force", *left)
