"""The image of the services: what it may do, what it lacks on purpose, and the demo's journey from it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx2
import pytest

from deploy.containers.engine import Engine
from deploy.local.folders import own_folder
from deploy.local.journey import Person, code_in, observing
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ROLES, Platform, platform
from deploy.local.stack import Running
from tests.conftest import given

pytestmark = pytest.mark.timeout(300)

PERSON = "kari.nordmann@eksempel.example"


def walls(runner: Engine) -> list[str]:
    """Nothing is writable, not even /tmp, which Podman would give back; no right of root's is left."""
    options = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    return [*options, "--read-only-tmpfs=false"] if runner.program.endswith("podman") else options


@dataclass(frozen=True, slots=True)
class Contained:
    """Starts the services' modules from the image, on the machine's own network."""

    runner: Engine
    image: str
    label: str
    folder: str

    def __call__(self, environment: Mapping[str, str], module: tuple[str, ...]) -> list[str]:
        settings = [f"--env={name}" for name in environment if name.startswith("SAMBAND_")]
        options = ["--rm", "--network=host", *walls(self.runner), f"--volume={self.folder}:{self.folder}:ro", *settings]
        return [self.runner.program, "run", f"--label={self.label}", *options, self.image, *module]


@pytest.fixture(scope="module")
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox() as box:
        yield box


@pytest.fixture(scope="module")
async def samband(runner: Engine, services_image: str, label: str, mailbox: Mailbox) -> AsyncIterator[Platform]:
    """The platform, every process of it in a container."""
    with own_folder("test") as folder, pytest.MonkeyPatch.context() as patched:
        for name, value in runner.environment.items():
            patched.setenv(name, value)
        running = Running(folder, given("SAMBAND_LOCAL_POSTGRES"), given("SAMBAND_LOCAL_KAFKA"))
        start = Contained(runner, services_image, label, str(folder))
        settings = {"SAMBAND_HTTP_HOST": "127.0.0.1"}
        async with platform(running, smtp_port=mailbox.smtp_port, settings=settings, launcher=start) as made:
            for key_set in folder.glob("keys-*/*/*.json"):
                key_set.chmod(0o644)  # The image's user is nobody that this machine knows.
            await asyncio.gather(*(made.start(*role) for role in ROLES))
            yield made


@pytest.mark.rule("G1")
async def test_the_demos_journey_is_made_from_the_image(samband: Platform, mailbox: Mailbox) -> None:
    said = await samband.run("auth", "accounts", "add", PERSON)
    assert PERSON in said
    async with observing(samband) as observer, httpx2.AsyncClient(base_url=samband.url("auth", "api")) as client:
        person = Person(PERSON, client)
        assert (await person.ask()).status_code == httpx2.codes.ACCEPTED
        (mail,) = await mailbox.wait_for(1, to=PERSON, within=40)
        assert (await person.redeem(code_in(mail))).status_code == httpx2.codes.CREATED
        assert (await person.who_am_i()).json()["address"] == PERSON
        assert await observer.wait_for("OtpRequested", 1)
        assert await observer.wait_for("MailDelivered", 1)


async def test_a_role_in_a_container_stops_in_order_when_it_is_told_to(samband: Platform) -> None:
    codes = await asyncio.gather(*(samband.processes[role].stop(within=40) for role in ROLES))
    assert codes == [0] * len(ROLES)


INSIDE = """
import json, os, pathlib, shutil, sys
def writable(folder):
    try:
        (pathlib.Path(folder) / "probe").write_text("x")
    except OSError:
        return False
    return True
print(json.dumps({
    "user": [os.getuid(), os.getgid(), os.getgroups()],
    "writable": [folder for folder in ("/", "/tmp", "/var/tmp", "/run", os.getcwd(), sys.prefix) if writable(folder)],
    "tools": [name for name in ("cc", "gcc", "g++", "ld", "make", "cargo", "git") if shutil.which(name)],
    "pip": bool(list(pathlib.Path(sys.prefix).glob("**/site-packages/pip"))),
    "folders": sorted(each.name for each in pathlib.Path().iterdir()),
    "theirs": [str(each) for each in pathlib.Path(sys.prefix).rglob("*") if each.lstat().st_uid == os.getuid()],
}))
"""


def test_inside_nothing_is_writable_and_nothing_builds(runner: Engine, services_image: str) -> None:
    said = runner.run(
        "run", "--rm", "--network=none", *walls(runner), "--entrypoint=python", services_image, "-c", INSIDE
    )
    assert json.loads(said) == {
        "user": [10001, 10001, [10001]],
        "writable": [],
        "tools": [],
        "pip": False,
        "folders": ["chassis", "contracts", "services"],
        "theirs": [],
    }


def test_a_role_without_its_settings_says_which_are_missing(runner: Engine, services_image: str) -> None:
    said = runner.run(
        "run", "--rm", "--network=none", "--entrypoint=sh", services_image, "-c",
        "python -m services.auth api 2>&1; echo exit $?",
    )  # fmt: skip
    assert "SAMBAND_DATABASE_URL: is missing" in said
    assert said.splitlines()[-1] == "exit 78"


def test_what_was_lent_to_the_build_is_not_in_the_image(runner: Engine, services_image: str) -> None:
    history = runner.run("history", "--no-trunc", services_image)
    found = runner.run(
        "run", "--rm", "--network=none", "--entrypoint=sh", services_image, "-c",
        "cat /etc/pip.conf /run/certificates.pem 2>/dev/null | wc -c",
    )  # fmt: skip
    assert found.strip() == "0"
    assert "index-url" not in history
