"""The vault: what is encrypted opens where it was written, under the keys that are mounted, and nowhere else."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from joserfc.jwk import OctKey

from chassis.errors import Misconfigured
from services.auth.identities import vault
from services.auth.identities.vault import NotOurs, Vault

ROW = uuid4()


def key_file(folder: Path, *keys: OctKey) -> Path:
    path = folder / "identities.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=True) for key in keys]}))
    return path


@pytest.mark.goal("sec-A14")
def test_what_is_closed_shows_nothing_and_opens_in_its_row_for_its_use_alone(tmp_path: Path) -> None:
    kept = Vault.load(key_file(tmp_path, vault.new_key("identities-1")))
    closed = kept.close("number", ROW, "01819010000")
    assert "01819010000" not in closed
    assert closed != kept.close("number", ROW, "01819010000")
    assert kept.open("number", ROW, closed) == "01819010000"
    for use, row in (("number", uuid4()), ("token", ROW)):
        with pytest.raises(NotOurs):
            kept.open(use, row, closed)


def test_a_new_key_encrypts_and_the_old_one_still_opens(tmp_path: Path) -> None:
    old, new = vault.new_key("identities-1"), vault.new_key("identities-2")
    before = Vault.load(key_file(tmp_path, old)).close("number", ROW, "01819010000")
    both = Vault.load(key_file(tmp_path, new, old))
    assert both.open("number", ROW, before) == "01819010000"
    with pytest.raises(NotOurs):
        Vault.load(key_file(tmp_path, old)).open("number", ROW, both.close("number", ROW, "01819010000"))


def test_a_changed_letter_is_noticed(tmp_path: Path) -> None:
    kept = Vault.load(key_file(tmp_path, vault.new_key("identities-1")))
    closed = kept.close("number", ROW, "01819010000")
    for place in range(0, len(closed), 7):
        other = "A" if closed[place] != "A" else "B"
        with pytest.raises(NotOurs):
            kept.open("number", ROW, closed[:place] + other + closed[place + 1 :])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "oct", "kid": "a", "k": "c2hvcnQ"}]}',
        json.dumps({"keys": [OctKey.generate_key(256).as_dict(private=True) | {"kid": ""}]}),
        json.dumps({"keys": [vault.new_key("a").as_dict(private=True), vault.new_key("a").as_dict(private=True)]}),
    ],
    ids=["empty", "no keys", "none", "too short", "no name", "one name twice"],
)
def test_a_key_set_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "identities.json"
    path.write_text(content)
    with pytest.raises(Misconfigured, match=r"identities\.json"):
        Vault.load(path)


def test_a_key_set_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        Vault.load(tmp_path / "none.json")
