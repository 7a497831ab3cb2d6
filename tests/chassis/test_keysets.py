"""Key sets are rotated so that whatever is sealed at any time can be opened, and no command shows a secret."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from chassis import cli, keysets
from chassis.errors import Misconfigured
from chassis.keysets import KeySets, WrongStep
from chassis.sealing import CannotOpen, Keyring, Place
from chassis.service import Service
from chassis.settings import ServiceSettings
from deploy.local import keysets as made
from tests.conftest import ROOT

PLACE = Place("1", "auth.OtpRequested.v1", "code")


@pytest.fixture
def sets(tmp_path: Path) -> KeySets:
    made.make(tmp_path, ("reader", "writer"))
    return KeySets("reader", tmp_path / "public", tmp_path / "private" / "reader.json")


def seal(sets: KeySets) -> str:
    return Keyring.load("writer", sets.public, None).seal("secret", "reader", PLACE)


def opens(sets: KeySets, token: str) -> bool:
    try:
        return Keyring.load("reader", sets.public, sets.private).open(token, PLACE) == "secret"
    except CannotOpen:
        return False


def age(path: Path, days: int) -> None:
    """Age the keys that say since when they are used."""
    keys = json.loads(path.read_text())["keys"]
    for key in keys:
        if "nbf" in key:
            key["nbf"] = int(time.time()) - days * 86_400
    path.write_text(json.dumps({"keys": keys}))


def test_at_every_step_what_is_sealed_and_what_was_sealed_opens(sets: KeySets) -> None:
    before = seal(sets)
    new = keysets.begin(sets)
    made_known = seal(sets)
    assert keysets.publish(sets) == new
    after = seal(sets)
    assert [opens(sets, token) for token in (before, made_known, after)] == [True] * 3
    age(sets.own_public, 31)
    assert keysets.retire(sets) == ["reader-1"]
    assert [opens(sets, token) for token in (before, made_known, after)] == [False, False, True]


def test_a_new_key_is_used_by_nobody_before_it_is_published(sets: KeySets) -> None:
    new = keysets.begin(sets)
    used = {key.key for key in keysets.list_keys(sets) if key.used_by_writers and key.reader == "reader"}
    assert used == {"reader-1"}
    keysets.publish(sets)
    used = {key.key for key in keysets.list_keys(sets) if key.used_by_writers and key.reader == "reader"}
    assert used == {new}


def test_steps_out_of_their_order_are_refused_and_change_nothing(sets: KeySets) -> None:
    files = [sets.private, sets.own_public]

    def refuses(step: Any, says: str) -> None:
        before = [path.read_bytes() for path in files]
        with pytest.raises(WrongStep, match=says):
            step(sets)
        assert [path.read_bytes() for path in files] == before

    refuses(keysets.publish, "no private key waits to be published")
    refuses(keysets.retire, "there is nothing to retire")
    keysets.begin(sets)
    refuses(keysets.begin, "is made and not published yet")
    keysets.publish(sets)
    age(sets.own_public, 29)
    refuses(keysets.retire, "reader-1 may be needed until")


def test_sets_that_do_not_fit_together_are_told_of(sets: KeySets) -> None:
    assert keysets.faults(sets, ["writer"]) == []
    assert keysets.faults(sets, ["stranger"]) == ["stranger.json is missing: nothing can be sealed to stranger"]
    strange = json.loads((sets.public / "writer.json").read_text())["keys"]
    own = json.loads(sets.own_public.read_text())["keys"]
    sets.own_public.write_text(json.dumps({"keys": [strange[0] | {"kid": "reader-1"}, *strange, *strange]}))
    assert keysets.faults(sets, []) == [
        f"{sets.own_public} holds the key writer-1 twice",
        "the two halves of reader-1 do not belong together",
        *[f"{sets.own_public} offers writer-1, whose private half is not mounted: what is sealed to it is lost"] * 2,
    ]
    assert own


def test_a_private_set_stays_private_and_a_folder_that_cannot_be_written_is_named(sets: KeySets) -> None:
    keysets.begin(sets)
    assert sets.private.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in sets.private.parent.iterdir() if path.name.startswith(".")] == []
    blocked = KeySets("reader", sets.public, sets.private)
    sets.public.rename(sets.public.with_name("kept"))
    with pytest.raises(Misconfigured, match="the folder of public keys"):
        keysets.publish(blocked)


@pytest.mark.goal("sec-P1")
def test_no_command_prints_anything_of_a_private_key(
    sets: KeySets, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("reader", ServiceSettings, ROOT / "services" / "reader")
    files = ["--public", str(sets.public), "--private", str(sets.private)]
    monkeypatch.setattr("chassis.logging.configure", lambda *_: None)
    for command in (["list"], ["rotate"], ["rotate"], ["rotate", "--publish"], ["rotate", "--retire"], ["list"]):
        monkeypatch.setattr("sys.argv", ["reader", "keys", *command, *files])
        cli.main(service)
    said = "".join(capsys.readouterr())
    secrets = [key["d"] for key in json.loads(sets.private.read_text())["keys"]]
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in said]
    assert "made_at" in said and "refused: reader-1 may be needed until" in said


def test_a_rotation_leaves_a_set_to_whom_it_belongs_and_a_link_a_link(
    sets: KeySets, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, given = sets.private.with_name("kept.json"), []
    sets.private.rename(kept)
    sets.private.symlink_to(kept)
    monkeypatch.setattr("os.chown", lambda _, uid, gid: given.append((uid, gid)))
    keysets.begin(sets)
    assert sets.private.is_symlink()
    assert len(json.loads(kept.read_text())["keys"]) == 2
    assert given == [(kept.stat().st_uid, kept.stat().st_gid)]


def test_a_set_that_cannot_be_given_back_to_its_owner_is_left_as_it_was(
    sets: KeySets, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sets.private.read_text()

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.chown", refuse)
    with pytest.raises(Misconfigured, match="cannot be written \\(Operation not permitted\\)"):
        keysets.begin(sets)
    assert sets.private.read_text() == before
    assert list(sets.private.parent.glob(".*")) == []
