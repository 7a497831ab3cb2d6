"""The list of dependencies: hashes, licences, the page and the SBOM."""

from __future__ import annotations

import json
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from deploy.dependencies import __main__ as command
from deploy.dependencies import packages, page, sbom
from deploy.dependencies.packages import Licences, Package, Pinned, Unfit
from deploy.local.folders import CHECKOUT

FREE = frozenset({"MIT", "Apache-2.0"})
PROJECT = {"name": "samband", "version": "1.2.3", "dependencies": ["Left_Pad[fast]>=1,<2"]}


def licences(**said: str) -> Licences:
    return Licences(FREE, {"MIT License": "MIT"}, {name.replace("_", "-"): licence for name, licence in said.items()})


def checkout(folder: Path, every: str, image: str = "") -> Path:
    (folder / "deploy").mkdir()
    (folder / packages.ALL).write_text(every)
    (folder / packages.IMAGE).write_text(image)
    return folder


def test_a_lock_is_read_with_its_markers_and_hashes() -> None:
    lock = 'a==1.0 ; sys_platform == "win32" \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nb-c==2\n'
    assert packages.pins(lock.splitlines()) == [Pinned("a", "1.0", ("aa", "bb")), Pinned("b-c", "2", ())]


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND Apache-2.0", True),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", False),
    ],
)
def test_a_licence_is_allowed_when_all_that_binds_is(expression: str, allowed: bool) -> None:
    assert licences().allows(expression) is allowed


@pytest.mark.goal("ops-O4")
def test_a_licence_that_is_not_allowed_a_missing_hash_and_a_silent_package_are_each_named(tmp_path: Path) -> None:
    pinned = checkout(tmp_path, "a==1\n  --hash=sha256:aa\nb==1\nc==1\n  --hash=sha256:cc\n")
    with pytest.raises(Unfit) as unfit:
        packages.read(pinned, licences(a="GPL-3.0-only", b="MIT"))
    assert str(unfit.value).splitlines() == [
        "a is under GPL-3.0-only, which licences.toml does not allow",
        "b is pinned without a hash: run `make lock`",
        "c is not installed: say its licence in licences.toml",
    ]


def test_another_version_than_the_pinned_one_is_not_asked_for_its_licence() -> None:
    with pytest.raises(Unfit, match=r"0\.0\.1 is pinned: run `make setup`"):
        licences().of(Pinned("pytest", "0.0.1", ()))


def test_the_words_of_a_package_are_read_where_it_has_no_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"Classifier": ["Programming Language :: Python", "License :: OSI Approved :: MIT License"]}

    class Metadata:
        def __getitem__(self, name: str) -> str:
            return {"Version": "1"}[name]

        def get_all(self, name: str, default: Any) -> Any:
            return fields.get(name, default)

    monkeypatch.setattr(metadata, "metadata", lambda _: Metadata())
    assert licences().of(Pinned("a", "1", ())) == "MIT"
    fields["License"] = ["Do what you like"]
    fields["Classifier"].pop()
    with pytest.raises(Unfit, match="a does not say its licence in words known here"):
        licences().of(Pinned("a", "1", ()))


def some() -> list[Package]:
    return [
        Package(Pinned("left-pad", "1.5", ("a" * 64, "b" * 64)), "MIT OR Apache-2.0", shipped=True),
        Package(Pinned("pytest", "9.2", ("c" * 64,)), "MIT", shipped=False),
    ]


@pytest.mark.goal("ops-O4")
def test_the_sbom_names_each_package_with_licence_and_every_hash_and_is_the_same_again() -> None:
    text = sbom.write(some(), PROJECT)
    assert text == sbom.write(some(), PROJECT)
    assert text != sbom.write(some()[:1], PROJECT)
    document = json.loads(text)
    (shipped, tool) = document["components"]
    assert (shipped["purl"], shipped["scope"], tool["scope"]) == ("pkg:pypi/left-pad@1.5", "required", "excluded")
    assert shipped["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    (files,) = shipped["externalReferences"]
    assert [(each["alg"], each["content"]) for each in files["hashes"]] == [
        ("SHA-256", "a" * 64),
        ("SHA-256", "b" * 64),
    ]
    assert {"ref": "product", "dependsOn": ["pkg:pypi/left-pad@1.5"]} in document["dependencies"]
    assert document["metadata"]["component"]["version"] == "1.2.3"


def test_an_sbom_that_breaks_the_schema_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom, "JsonV1Dot6", lambda _: type("Output", (), {"output_as_string": lambda _: BROKEN})())
    with pytest.raises(Unfit, match=r"breaks the schema of CycloneDX 1\.6"):
        sbom.write(some(), PROJECT)


BROKEN = '{"bomFormat": "Another", "specVersion": "1.6", "metadata": {"timestamp": ""}}'


@pytest.mark.goal("ops-O4")
def test_todays_locks_have_hashes_and_allowed_licences_and_the_page_says_so(tmp_path: Path) -> None:
    assert command.main(["check"]) == 0
    assert command.main(["sbom", "--output", str(tmp_path / "sbom.json")]) == 0
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    document = json.loads((tmp_path / "sbom.json").read_text())
    shipped = {each["name"] for each in document["components"] if each["scope"] == "required"}
    assert {sbom._name(wish) for wish in project["dependencies"]} <= shipped


def test_a_page_that_is_not_true_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "CHECKOUT", tmp_path)
    monkeypatch.setattr(command, "PAGE", tmp_path / "dependencies.md")
    monkeypatch.setattr(packages, "read", some)
    assert command.main(["check"]) == 1
    assert "dependencies.md does not say what is pinned: run `make lock`" in capsys.readouterr().err
    assert command.main(["write"]) == 0
    assert command.main(["check"]) == 0
    assert "| left-pad | 1.5 | MIT OR Apache-2.0 |" in (tmp_path / "dependencies.md").read_text()
    assert page.write(some()) != page.write(some()[:1])


def test_a_place_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "read", some)
    monkeypatch.setattr(sbom, "write", lambda *_: "{}")
    assert command.main(["sbom", "--output", str(tmp_path / "nowhere" / "sbom.json")]) == 1
    assert capsys.readouterr().err.startswith("error: [Errno 2]")
