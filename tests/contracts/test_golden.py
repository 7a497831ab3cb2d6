"""Golden: the maker of examples writes what the reader reads, and says what is wrong with its input."""

import io
import json
import sys
from pathlib import Path
from uuid import UUID

import pytest

from chassis.sealing import Keyring
from contracts.auth import AccountChanged
from deploy.documents import examples
from deploy.documents.examples import Example
from tests.contracts import golden

FIELDS = {
    "account_id": str(UUID(int=1)), "epoch": 1, "version": 1, "active": True,
    "address": "kari@example.no", "language": "nb",
}  # fmt: skip


def run(monkeypatch: pytest.MonkeyPatch, given: str, kind: str = AccountChanged.type) -> int:
    monkeypatch.setattr(sys, "argv", ["golden", kind])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    return golden.main()


def test_an_example_is_sealed_and_kept_behind_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(golden, "CHECKOUT", tmp_path)
    monkeypatch.setattr(examples, "add", lambda kind, example, add=examples.add: add(kind, example, tmp_path))
    assert [run(monkeypatch, json.dumps(FIELDS)) for _ in range(2)] == [0, 0]
    assert capsys.readouterr().out.split() == [f"{AccountChanged.type}/{n}.json" for n in (1, 2)]
    kept = [example.value for example in examples.of_type(AccountChanged.type, tmp_path)]
    assert len(kept) == len(set(kept)) == 2
    assert not [value for value in kept if "kari" in value]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ("{}", "account_id: Field required"),
        (json.dumps(FIELDS | {"epoch": 0}), "epoch: Input should be greater than or equal to 1"),
    ],
)
def test_fields_that_are_no_message_are_refused_in_words(
    given: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, given) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert says in said


def test_a_reader_without_test_keys_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(golden, "keyring", lambda service: Keyring(service, {}, None))
    assert run(monkeypatch, json.dumps(FIELDS)) == 1
    assert "no public key of notifications" in (said := capsys.readouterr().err)
    assert "add a key set of tests to tests/contracts/golden_keys" in said


def test_examples_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for n in range(11):
        examples.add("a.B.v1", Example("a.b.v1", str(n), {}, "{}"), tmp_path)
    assert [example.key for example in examples.of_type("a.B.v1", tmp_path)] == [str(n) for n in range(11)]
