"""The command of a system outside: what it says about wrong input, and the keys and records that it makes."""

import asyncio
import io
import json
import socketserver
import stat
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from chassis import http, inbound, requests, sealing
from chassis.arrival import Arrival
from chassis.postgres import Database
from chassis.requests import Signed
from chassis.server import Server, listen
from chassis.systems import Systems
from contracts.auth import RegisterAccount
from deploy.local import keysets, ports
from deploy.local.folders import CHECKOUT
from deploy.request import __main__ as command
from deploy.request.sending import Place, answer_of
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


@contextmanager
def answering(said: bytes | None) -> Iterator[str]:
    """Listen at an address and say the same to everybody, or nothing at all; gives the address."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            if said is None:
                ended.wait()
            else:
                self.request.sendall(said)

    ended = threading.Event()
    with socketserver.ThreadingTCPServer((ports.LOOPBACK, 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"{ports.LOOPBACK}:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(
    ("said", "code", "says"),
    [
        (b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n{}", 3, "answered 503"),
        (b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", 3, "answered 500"),
        (b"HTTP/1.1 408 X\r\nContent-Length: 2\r\n\r\n{}", 3, "answered 408"),
        (b"", 3, "RemoteProtocolError"),
        (None, 3, "ReadTimeout"),
        (b"HTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\nnone", 69, "and not in JSON"),
        (b"HTTP/1.1 429 X\r\nContent-Length: 2\r\n\r\n{}", 1, ""),
    ],
)
def test_an_upload_of_which_nobody_knows_what_came_is_to_be_sent_again(
    said: bytes | None, code: int, says: str, monkeypatch: pytest.MonkeyPatch, keys: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file, name = tmp_path / "letter.pdf", str(UUID(int=7))
    file.write_bytes(b"a letter")
    own = ["--system", "membership", "--key", str(keys / "outside" / "membership.json"), "--id", name]
    with answering(said) as address:
        where = ["--url", f"http://{address}", "--service", "things", "--within", "0.5"]
        assert run(monkeypatch, "upload", str(file), *own, *where) == code
    told = capsys.readouterr()
    assert says in told.err
    if code == 3:
        assert json.loads(told.out) == {"outcome": "unknown", "upload_id": name}
        assert f"send it again with --id {name}" in told.err


def test_the_wait_for_a_kafka_that_says_nothing_has_an_end(
    monkeypatch: pytest.MonkeyPatch, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(UUID(int=7))
    with answering(None) as address:
        assert run(monkeypatch, *sending(keys, "--kafka", address, "--within", "0.5", "--id", name)) == 3
    told = capsys.readouterr()
    assert json.loads(told.out) == {"outcome": "unknown", "request_id": name}
    assert "no answer in 0.5 s" in told.err


HEADERS = {"ce_id": b"1", "ce_type": b"auth.RequestAccepted.v1"}
ANSWER: dict[str, object] = {"request_id": "7", "system": "membership"}


@pytest.mark.parametrize(
    ("headers", "value", "mine"),
    [
        (HEADERS, json.dumps(ANSWER).encode(), True),
        (HEADERS, json.dumps(ANSWER | {"system": "desk"}).encode(), False),
        (HEADERS, json.dumps(ANSWER | {"request_id": "8"}).encode(), False),
        (HEADERS, b"{", False),
        (HEADERS, b"{}", False),
        (HEADERS, b"[]", False),
        (HEADERS, None, False),
        ({**HEADERS, "ce_type": b"auth.Other.v1"}, json.dumps(ANSWER).encode(), False),
        ({**HEADERS, "ce_type": b"\xff"}, json.dumps(ANSWER).encode(), False),
        ({**HEADERS, "ce_type": b"auth"}, json.dumps(ANSWER).encode(), False),
        ({**HEADERS, "ce_type": None}, json.dumps(ANSWER).encode(), False),
        ({**HEADERS, "ce_type": b"auth.RequestNotProven.v1"}, json.dumps(ANSWER).encode(), False),
        ({}, b"{}", False),
    ],
)
def test_what_is_no_answer_to_this_request_is_passed_over(
    headers: dict[str, bytes | None], value: bytes | None, mine: bool
) -> None:
    signed = Signed("auth.requests.v1", "k", {"ce_id": "7", "ce_source": "/systems/membership"}, b"{}")
    record = SimpleNamespace(partition=0, offset=1, headers=list(headers.items()), value=value)
    said = answer_of(record, signed, Place(0, 5))
    assert (said is not None and said["outcome"] == "accepted") == mine


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
