"""The command of a system outside: what it says about wrong input, and the keys and records that it makes."""

import asyncio
import io
import json
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from chassis import http, inbound, requests, sealing
from chassis.arrival import Arrival
from chassis.postgres import Database
from chassis.server import Server, listen
from chassis.systems import Systems
from contracts.auth import RegisterAccount
from deploy.local import keysets, ports
from deploy.local.folders import CHECKOUT
from deploy.request import __main__ as command
from tests.contracts.test_examples import Record

FIELDS = {
    "registration_id": str(UUID(int=1)), "organisation_id": str(UUID(int=2)), "address": "kari@example.no", "language": "nb",
}  # fmt: skip
NOWHERE = f"{ports.LOOPBACK}:1"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    keysets.make(tmp_path, ["auth"])
    keysets.make_system(tmp_path, "membership", [RegisterAccount.type])
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str, given: str = json.dumps(FIELDS)) -> int:
    monkeypatch.setattr(sys, "argv", ["request", *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    return command.main()


def sending(keys: Path, *more: str, kind: str = RegisterAccount.type) -> list[str]:
    own = ["--system", "membership", "--key", str(keys / "outside" / "membership.json")]
    return ["send", kind, *own, "--public-keys", str(keys / "public"), *more]


@pytest.mark.parametrize("curve", ["Ed25519", "P-256"])
def test_a_key_that_was_made_lets_its_system_in(
    curve: str, monkeypatch: pytest.MonkeyPatch, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "desk.key.json", tmp_path / "in"
    allowed = ["--request", RegisterAccount.type, "--organisation", str(UUID(int=2))]
    assert run(monkeypatch, "key", "desk-1", "--curve", curve, "--out", str(out), *allowed) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    folder.mkdir()
    (folder / "desk.json").write_text(shown := capsys.readouterr().out)
    assert '"d"' not in shown
    (system,) = Systems.load(folder)
    assert system.may_ask(RegisterAccount.type)
    assert (system.may_act_for(UUID(int=2)), system.may_act_for(UUID(int=3))) == (True, False)
    words = sending(keys, "--print")
    words[words.index("--system") + 1], words[words.index("--key") + 1] = "desk", str(out)
    assert run(monkeypatch, *words) == 0
    record = json.loads(capsys.readouterr().out)
    arrival = Arrival.of(
        Record(record["topic"], record["key"].encode(), record["value"].encode(),
               [(name, text.encode()) for name, text in record["headers"].items()])
    )  # fmt: skip
    assert requests.prove(arrival, system, "auth")[1] == UUID(record["headers"]["ce_id"])
    assert "kari" not in record["value"]


def test_a_key_is_never_written_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "key.json"
    out.write_text("mine")
    assert run(monkeypatch, "key", "k", "--out", str(out)) == 2
    assert (out.read_text(), "File exists" in capsys.readouterr().err) == ("mine", True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ("{}", "registration_id: Field required"),
        (json.dumps(FIELDS | {"organisation_id": "ours"}), "organisation_id: Input should be a valid UUID"),
        (json.dumps(FIELDS | {"address": 7}), "address: Value error"),
    ],
)
def test_fields_that_are_no_request_are_told_in_words(
    given: str, says: str, monkeypatch: pytest.MonkeyPatch, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *sending(keys, "--kafka", NOWHERE), given=given) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.startswith("error: "), says in said.err) == ("", True, True)


def test_what_lacks_is_named(monkeypatch: pytest.MonkeyPatch, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("SAMBAND_KAFKA", raising=False)
    for words, says in (
        (sending(keys), "--kafka is missing"),
        (sending(keys, kind="auth.Nothing.v1"), "invalid choice: 'auth.Nothing.v1'"),
        (sending(keys, "--time", "yesterday"), "is not a time with its zone"),
        (sending(keys, "--time", "2026-11-24T08:00:00"), "is not a time with its zone"),
    ):
        with pytest.raises(SystemExit) as ended:
            run(monkeypatch, *words)
        assert (ended.value.code, says in capsys.readouterr().err) == (2, True)


def test_keys_that_are_not_right_are_named(
    monkeypatch: pytest.MonkeyPatch, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sealing.json").write_text(json.dumps(sealing.new_key("x").as_dict(private=False)))
    (tmp_path / "text.json").write_text("the key")
    for file, says in (
        ("none.json", "cannot be read: No such file"),
        ("text.json", "is no JWK"),
        ("sealing.json", "must be a private Ed25519 or P-256 key"),
    ):
        words = sending(keys, "--kafka", NOWHERE)
        words[words.index("--key") + 1] = str(tmp_path / file)
        assert run(monkeypatch, *words) == 2
        assert says in capsys.readouterr().err
    words = sending(keys, "--kafka", NOWHERE, "--public-keys", f"http://{NOWHERE}")
    assert run(monkeypatch, *words) == 2
    assert "shows no public keys" in capsys.readouterr().err


def test_a_kafka_or_an_api_that_is_not_there_is_told_with_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *sending(keys, "--kafka", NOWHERE)) == 69
    assert f"Kafka does not answer at {NOWHERE}" in capsys.readouterr().err
    file = tmp_path / "letter.pdf"
    own = ["--system", "membership", "--key", str(keys / "outside" / "membership.json")]
    where = ["--url", f"http://{NOWHERE}", "--service", "auth"]
    assert run(monkeypatch, "upload", str(file), *own, *where) == 2
    file.write_bytes(b"")
    assert run(monkeypatch, "upload", str(file), *own, *where) == 2
    assert f"must have 1 to {inbound.LARGEST} bytes" in capsys.readouterr().err
    file.write_bytes(b"a letter")
    assert run(monkeypatch, "upload", str(file), *own, *where) == 69
    assert "does not answer" in capsys.readouterr().err


@asynccontextmanager
async def taking_files(database: Database) -> AsyncIterator[str]:
    """Serve the route for files, by a real server; gives its address."""
    listening, streamed = listen(ports.LOOPBACK, 0), {inbound.STREAMED: inbound.LARGEST}
    app = http.create_app(title="things", version="1", routers=[inbound.router(database)], streamed=streamed)
    server = Server(listening, app, drain_seconds=0)
    serving = asyncio.create_task(server.run())
    try:
        yield f"http://{ports.LOOPBACK}:{listening.getsockname()[1]}"
    finally:
        server.stop()
        await serving


async def test_a_file_is_uploaded_and_the_same_again_is_the_same(
    keys: Path, tmp_path: Path, database: Database
) -> None:
    database.identity = replace(database.identity, systems=Systems.load(keys / "systems"))
    file, name = tmp_path / "letter.pdf", str(UUID(int=7))
    file.write_bytes(b"a letter" * 400_000)
    own = ["--system", "membership", "--key", str(keys / "outside" / "membership.json"), "--service", "things"]

    async def upload(url: str, *more: str) -> tuple[int | None, dict[str, object]]:
        command = [sys.executable, "-m", "deploy.request", "upload", str(file), "--url", url, *own, *more]
        process = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        return process.returncode, json.loads(said)

    async with taking_files(database) as url:
        code, first = await upload(url, "--id", name)
        assert (code, first["length"]) == (0, 3_200_000)
        assert await upload(url, "--id", name) == (0, first)
        code, refused = await upload(url, "--service", "auth")
        assert (code, refused["type"]) == (1, "urn:samband:problem:upload-not-proven")
