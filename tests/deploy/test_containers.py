"""Whether servers come from images: what the environment says, and what the machine has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.containers import engine, images, lending
from deploy.containers.__main__ import main as build
from deploy.local import containers
from deploy.local.errors import SetupError
from deploy.local.folders import CHECKOUT

NOWHERE = "unix:///nowhere/engine.sock"
IMAGE = "SAMBAND_LOCAL_POSTGRES_IMAGE"


async def chosen(said: list[str] | None = None) -> str | None:
    return await containers.image(IMAGE, "postgres:18", (said if said is not None else []).append)


async def test_without_an_engine_the_machine_s_own_programs_serve_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv(containers.MODE, raising=False)
    monkeypatch.setattr(containers, "_DEFAULT_SOCKET", tmp_path / "docker.sock")
    said: list[str] = []
    assert await chosen(said) is None
    assert said == []


async def test_an_engine_that_is_named_and_does_not_answer_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.delenv(containers.MODE, raising=False)
    said: list[str] = []
    assert await chosen(said) is None
    (line,) = said
    assert line.startswith("no container engine answers")
    assert line.endswith("using this machine's own programs")


async def test_containers_that_are_wanted_always_and_cannot_be_had_stop_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setenv(containers.MODE, "always")
    with pytest.raises(SetupError, match="SAMBAND_LOCAL_CONTAINERS=always, and no container engine answers"):
        await chosen()


async def test_never_asks_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setenv(containers.MODE, "never")
    said: list[str] = []
    assert await chosen(said) is None
    assert said == []


async def test_a_word_that_is_none_of_the_three_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(containers.MODE, "sometimes")
    with pytest.raises(SetupError, match="SAMBAND_LOCAL_CONTAINERS=sometimes: it is one of auto, always, never"):
        await chosen()


def test_no_engine_says_what_was_tried_and_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "docker"
    broken.write_text("#!/bin/sh\necho cannot connect >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    said = r"podman is not in PATH; docker does not answer \(cannot connect\) \(Debian: apt install podman runc\)"
    with pytest.raises(SetupError, match=said):
        engine.find()


def test_podman_gets_the_settings_for_a_machine_without_systemd_unless_it_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", "/own.conf")
    assert engine.environment("podman")["CONTAINERS_CONF"] == "/own.conf"
    monkeypatch.delenv("CONTAINERS_CONF")
    assert "CONTAINERS_CONF" not in engine.environment("docker")
    wanted = None if Path("/run/systemd/system").exists() else str(engine.WITHOUT_SYSTEMD)
    assert engine.environment("podman").get("CONTAINERS_CONF") == wanted


def test_what_pip_knows_is_lent_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificates = tmp_path / "authorities.pem"
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    monkeypatch.setenv("PIP_CERT", str(certificates))
    with lending.secrets() as options:
        settings, authorities = (Path(option.partition("src=")[2]) for option in options)
        assert authorities == certificates
        assert settings.read_text().splitlines() == [
            "[global]",
            "index-url = https://packages.example/simple",
            "cert = /run/certificates.pem",
        ]
    assert not settings.exists()


def test_an_image_is_called_after_what_it_is_made_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = images.services_name(), images.postgres_name(), images.kafka_name()
    assert all(re.fullmatch(r"samband(-postgres|-kafka)?:[0-9a-f]{12}", name) for name in names)
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, text in ((one, "x = 1\n"), (other, "x = 2\n")):
        (folder / "chassis" / "__pycache__").mkdir(parents=True)
        (folder / "chassis" / "a.py").write_text(text)
    monkeypatch.setattr(images, "_SERVICES", ("chassis",))
    monkeypatch.setattr(images, "CHECKOUT", one)
    before = images.services_name()
    (one / "chassis" / "__pycache__" / "a.pyc").write_bytes(b"anything")
    assert images.services_name() == before
    monkeypatch.setattr(images, "CHECKOUT", other)
    assert images.services_name() != before


def pins(name: str) -> dict[str, list[str]]:
    """Each pinned package of a lock, with its hashes."""
    found: dict[str, list[str]] = {}
    for line in (CHECKOUT / name).read_text().splitlines():
        if line.strip().startswith("--hash="):
            found[next(reversed(found))].append(line.strip(" \\"))
        else:
            found[line.split(" ")[0]] = []
    return found


@pytest.mark.goal("ops-O4")
def test_the_image_installs_a_part_of_what_was_tested_and_every_package_has_its_hashes() -> None:
    tested, shipped = pins("requirements.lock"), pins("deploy/requirements.lock")
    assert {name: tested.get(name) for name in shipped} == shipped, "run `make lock`"
    assert {"fastapi", "asyncpg", "aiokafka"} <= {name.partition("==")[0] for name in shipped}
    assert not {"pytest", "ruff", "testcontainers"} & {name.partition("==")[0] for name in shipped}
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+", name) for name in tested)
    assert all(hashes for hashes in tested.values())


@pytest.mark.goal("ops-O4")
def test_the_image_is_installed_from_wheels_whose_hashes_are_known_alone() -> None:
    text = (CHECKOUT / "deploy" / "Containerfile").read_text().replace("\\\n", " ")
    (install,) = [line for line in text.splitlines() if "pip install" in line]
    assert "--require-hashes" in install
    assert "--only-binary :all:" in install
    assert "deploy/requirements.lock" in text


@pytest.mark.parametrize("arguments", [[], ["--without-registry", "bookworm"]])
def test_building_without_an_engine_says_so_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.argv", ["containers", *arguments])
    assert build() == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: no container engine: podman is not in PATH; docker is not in PATH")
    assert said.out == ""
