"""Systems: a file that is not right is named before anything starts."""

import json
from pathlib import Path
from typing import Any

import pytest

from chassis import sealing, signing
from chassis.errors import Misconfigured
from chassis.systems import Systems, describe

KEY = signing.new_key("member-1")
PUBLIC: dict[str, Any] = dict(KEY.as_dict(private=False))


def file(**changes: object) -> str:
    return json.dumps({"keys": [PUBLIC], "requests": ["auth.RegisterAccount.v1"], "organisations": ["*"]} | changes)


def test_without_a_folder_there_is_no_system() -> None:
    assert list(Systems.load(None)) == []


def test_a_system_is_found_by_the_source_of_its_requests(tmp_path: Path) -> None:
    (tmp_path / "member.json").write_text(file())
    systems = Systems.load(tmp_path)
    found = systems.of_source("/systems/member")
    assert found is not None
    assert (found.name, list(found.keys)) == ("member", ["member-1"])
    assert [systems.of_source(other) for other in ("/services/member", "member", "/systems/other")] == [None] * 3


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("Member", file(), "is named by lower-case letters"),
        ("member", "{", "Invalid JSON"),
        ("member", "[]", "is not a system's file"),
        ("member", file(keys=[]), "keys: List should have at least 1 item"),
        ("member", file(organisations=["everybody"]), "organisations"),
        ("member", file(request=[]), "request: Extra inputs are not permitted"),
        ("member", json.dumps({"keys": [PUBLIC], "organisations": []}), "requests: Field required"),
        ("member", file(keys=[{"kty": "what"}]), "holds a key that is no JWK"),
        ("member", file(keys=[dict(KEY.as_dict(private=True))]), "must be a public Ed25519 or P-256 key"),
        ("member", file(keys=[{**PUBLIC, "kid": ""}]), "with its own `kid`"),
        ("member", file(keys=[{**PUBLIC, "kid": "a b"}]), "with its own `kid`"),
        ("member", file(keys=[PUBLIC, PUBLIC]), "with its own `kid`"),
        (
            "member",
            file(keys=[{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "x"}]),
            "must be a public Ed25519 or P-256 key",
        ),
        ("other", file(), "member and other share a key"),
    ],
)
def test_a_file_that_is_not_right_is_named(name: str, text: str, says: str, tmp_path: Path) -> None:
    if name == "other":
        (tmp_path / "member.json").write_text(file(keys=[{**PUBLIC, "kid": "under-another-name"}]))
    (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(Misconfigured) as refused:
        Systems.load(tmp_path)
    assert says in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="the folder of systems"):
        Systems.load(tmp_path / "none")


def test_a_key_for_sealing_is_none_for_signing_though_it_is_on_the_same_curve(tmp_path: Path) -> None:
    key = sealing.new_key("member-2")
    name, text = describe("member", [key], [], [])
    (tmp_path / name).write_text(text)
    with pytest.raises(Misconfigured):
        Systems.load(tmp_path)


@pytest.mark.parametrize("says", [{"alg": "EdDSA"}, {"alg": "ES256"}, {"use": None, "key_ops": ["sign"]}])
def test_a_key_that_could_never_verify_is_refused_at_the_start(says: dict[str, object], tmp_path: Path) -> None:
    public = {**signing.new_key("k").as_dict(private=False), **says}
    key = {name: value for name, value in public.items() if value is not None}
    (tmp_path / "member.json").write_text(json.dumps({"keys": [key], "requests": [], "organisations": []}))
    with pytest.raises(Misconfigured, match="no other use, alg or key_ops"):
        Systems.load(tmp_path)
