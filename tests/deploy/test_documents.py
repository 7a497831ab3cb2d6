"""Documents: made the same twice, told when they are stale, and true to contracts, handlers and topics."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

from chassis.handlers import Lane
from contracts import topics
from contracts.catalogue import messages
from contracts.message import Id, Message, UndeclaredPrivacy
from contracts.notifications import MailDelivered
from contracts.privacy import Privacy
from contracts.topics import ACCOUNTS, CODES, DELIVERIES, Topic
from deploy.documents import __main__ as commands
from deploy.documents import asyncapi, files, page, system
from deploy.documents.system import OTHERS, Reading, System
from deploy.local.folders import CHECKOUT
from deploy.local.platform import SERVICES

FOUND = system.found()
PAGE = files.PAGE
CHANGED = "auth.AccountChanged.v1"


class ThingAsked(Message, topic=Topic("auth.requests.v1"), key="thing_id"):
    """Another system asks for a thing."""

    thing_id: Id


class ThingChanged(Message, topic=ACCOUNTS, key="thing_id"):
    """A thing is what it is now."""

    thing_id: Id
    many: Annotated[list[int] | None, Privacy.OPEN]


ASKED = replace(FOUND, messages=(ThingAsked,), readings=(Reading("auth", ThingAsked, Lane.NORMAL, "make_thing"),))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout where everything is as it should be."""
    shutil.copytree(CHECKOUT / files.EXAMPLES, tmp_path / files.EXAMPLES)
    files.write(files.made(FOUND), tmp_path)
    files.release(FOUND, tmp_path)
    return tmp_path


def with_message(message: type[Message]) -> System:
    return replace(FOUND, messages=(*FOUND.messages, message))


def test_all_services_and_their_handlers_are_found() -> None:
    assert {service.name for service in FOUND.services} >= set(SERVICES)
    assert list(FOUND.messages) == messages()
    readings = [(r.group, r.message.type, r.handler) for r in FOUND.read_by("notifications")]
    assert ("notifications.urgent", "auth.OtpRequested.v1", "owe_login_code_mail") in readings


def test_what_is_kept_in_the_repository_is_what_is_made_and_breaks_nobody() -> None:
    assert files.complaints(FOUND) == []


def test_the_same_is_made_twice_also_by_a_process_of_its_own_hashing() -> None:
    program = (
        "import json; from deploy.documents import files, system;"
        "print(json.dumps({str(p): t for p, t in files.made(system.found()).items()}))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, cwd=CHECKOUT, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert json.loads(runs[0]) == {str(path): text for path, text in files.made(FOUND).items()}


def test_writing_twice_changes_nothing_the_second_time(tmp_path: Path) -> None:
    assert set(files.write(files.made(FOUND), tmp_path)) == set(files.made(FOUND))
    assert files.write(files.made(FOUND), tmp_path) == []


def test_what_is_stale_missing_or_left_over_is_named_with_the_command(checkout: Path) -> None:
    assert files.complaints(FOUND, checkout) == []
    (checkout / PAGE).write_text("older")
    (checkout / files.SCHEMAS / "auth.OtpRequested.v1.json").unlink()
    (checkout / files.ASYNCAPI / "gone.json").write_text("{}")
    assert files.complaints(FOUND, checkout) == [
        "contracts/schemas/auth.OtpRequested.v1.json is missing: run `make docs`",
        "docs/messages.md is stale: run `make docs`",
        "docs/asyncapi/gone.json describes nothing that is there any more: run `make docs`",
    ]
    assert len(files.write(files.made(FOUND), checkout)) == 3
    assert files.complaints(FOUND, checkout) == []


def test_a_new_message_needs_an_example_and_documents(checkout: Path) -> None:
    complaints = files.complaints(with_message(ThingChanged), checkout)
    command = "python -m tests.contracts.golden auth.ThingChanged.v1 < fields.json"
    assert complaints[0] == f"auth.ThingChanged.v1 has no example in contracts/examples: run `{command}`"
    assert "contracts/schemas/auth.ThingChanged.v1.json is missing: run `make docs`" in complaints
    assert "docs/messages.md is stale: run `make docs`" in complaints


def test_a_field_that_no_example_shows_is_named(checkout: Path) -> None:
    folder = checkout / files.EXAMPLES / "auth.ThingChanged.v1"
    folder.mkdir()
    example = {"topic": ACCOUNTS.name, "key": "k", "headers": {}, "value": json.dumps({"thing_id": "k"})}
    (folder / "1.json").write_text(json.dumps(example))
    complaints = files.complaints(with_message(ThingChanged), checkout)
    assert any(
        says.startswith("auth.ThingChanged.v1 has no example of many in contracts/examples") for says in complaints
    )


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_released_example_stays_as_it_was(how: str, checkout: Path) -> None:
    example = checkout / files.EXAMPLES / CHANGED / "1.json"
    shutil.copy(example, example.with_name("2.json"))
    assert files.complaints(FOUND, checkout) == []
    example.write_text(example.read_text().replace("true", "false", 1)) if how == "changed" else example.unlink()
    (complaint,) = files.complaints(FOUND, checkout)
    assert complaint.startswith(f"contracts/examples/{CHANGED}/1.json was released and is not as it was: restore it")


def test_a_break_with_the_last_release_is_told_until_a_release_is_impossible(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / files.RELEASED / f"{MailDelivered.type}.json"
    released = json.loads(path.read_text())
    released["properties"]["kind"]["enum"] = ["login_code"]
    path.write_text(json.dumps(released))
    (complaint,) = files.complaints(FOUND, checkout)
    assert complaint.startswith("notifications.MailDelivered.v1, field kind: widened: enum changed")
    monkeypatch.setattr(files, "complaints", lambda _: [complaint])
    assert commands.release(FOUND) == 1
    assert capsys.readouterr().err == f"error: {complaint}\n"


def test_a_release_makes_the_present_schemas_those_of_the_last_release(checkout: Path) -> None:
    for path in (checkout / files.RELEASED).iterdir():
        path.unlink()
    assert files.released(checkout) == {}
    assert len(files.release(FOUND, checkout)) == len(FOUND.messages) + 1
    assert set(files.released(checkout)) == {message.type for message in FOUND.messages}
    assert files.release(FOUND, checkout) == []


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.documents", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_the_check_passes_here_and_an_unknown_command_is_explained() -> None:
    checked, unknown = run("check"), run("nonsense")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert unknown.returncode == 2
    assert "invalid choice: 'nonsense'" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_a_message_that_does_not_load_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> System:
        raise UndeclaredPrivacy("ThingChanged.name: exactly one privacy class is needed, found 0")

    monkeypatch.setattr(system, "found", refuse)
    monkeypatch.setattr(sys, "argv", ["documents", "check"])
    assert commands.main() == 1
    assert capsys.readouterr().err == "error: ThingChanged.name: exactly one privacy class is needed, found 0\n"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("1.json", "<<<<<<< HEAD", "1.json is not JSON: Expecting value"),
        ("1.json", "{}", "1.json must hold topic, key, headers and value, and nothing else"),
        ("1.json", "[]", "1.json must hold topic, key, headers and value, and nothing else"),
        (
            "1.json",
            json.dumps({"topic": "", "key": "", "headers": {}, "value": "{"}),
            "its value must be the text of a JSON",
        ),
        (
            "1.json",
            json.dumps({"topic": "", "key": "", "headers": {}, "value": "[]"}),
            "its value must be the text of a JSON",
        ),
        ("new.json", "{}", "new.json must be named by its number, such as 1.json"),
    ],
)
def test_a_spoiled_example_is_told_in_words(
    name: str, text: str, says: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / files.EXAMPLES / CHANGED / name).write_text(text)
    monkeypatch.setattr(files.complaints, "__defaults__", (checkout,))
    monkeypatch.setattr(sys, "argv", ["documents", "check"])
    assert commands.main() == 1
    assert says in capsys.readouterr().err


@pytest.mark.goal("sec-P5")
def test_the_topics_are_printed_as_they_are_declared(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.list_topics(FOUND) == 0
    printed = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {name: line["config"] for name, line in printed.items()} == {t.name: t.config() for t in topics.ALL}
    assert {name: line["partitions"] for name, line in printed.items()} == {t.name: t.partitions for t in topics.ALL}
    codes = printed[CODES.name]
    assert codes["config"]["retention.ms"] == "3600000"
    assert (codes["owner"], codes["writers"], codes["readers"]) == ("auth", ["auth"], ["notifications"])
    assert (codes["holds_secrets"], codes["groups"]) == (True, ["notifications.urgent"])


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for service in FOUND.services:
        yield service.name, asyncapi.document(FOUND, service)


def test_each_message_is_sent_by_one_service_and_received_where_a_handler_is() -> None:
    done = {
        (action["action"], name, action["messages"][0]["$ref"].rpartition("/")[2])
        for name, document in documents()
        for action in document["operations"].values()
    }
    assert {entry for entry in done if entry[0] == "send"} == {
        ("send", system.writer(message), message.type) for message in messages() if not message.topic.takes_requests
    }
    assert {entry for entry in done if entry[0] == "receive"} == {
        ("receive", reading.service, reading.message.type) for reading in FOUND.readings
    }


def test_a_channel_is_a_topic_as_it_is_declared() -> None:
    channels = {name: each for _, document in documents() for name, each in document["channels"].items()}
    kafka = channels[CODES.name]["bindings"]["kafka"]
    assert (channels[CODES.name]["address"], kafka["partitions"]) == (CODES.name, CODES.partitions)
    assert kafka["topicConfiguration"] == {"cleanup.policy": ["delete"], "retention.ms": 3_600_000}
    assert (channels[CODES.name]["x-segment-ms"], channels[CODES.name]["x-holds-secrets"]) == (900_000, True)


def test_a_request_comes_from_other_systems_and_its_service_only_reads_it() -> None:
    auth = next(service for service in FOUND.services if service.name == "auth")
    document = asyncapi.document(ASKED, auth)
    (operation,) = document["operations"].values()
    assert (list(document["operations"]), operation["action"]) == (["receiveAuthThingAskedV1"], "receive")
    assert operation["bindings"]["kafka"]["groupId"]["const"] == "auth.normal"
    headers = asyncapi.headers_of(ThingAsked)
    assert "const" not in headers["properties"]["ce_source"]
    assert "ce_signature" in headers["required"]
    assert ASKED.writers_of(ThingAsked.topic) == [OTHERS]
    assert "- Published by: other systems" in page.text(ASKED)
    assert "- Read by: auth (`make_thing`, normal)" in page.text(ASKED)
    assert "- Signed by its system, answered on `auth.answers.v1`" in page.text(ASKED)


def test_the_page_tells_of_every_topic_message_and_field() -> None:
    text = page.text(FOUND)
    assert all(f"| `{topic.name}` |" in text for topic in topics.ALL)
    for message in messages():
        section = text.partition(f"## {message.type}\n")[2].partition("\n## ")[0]
        assert all(f"| `{name}` |" in section for name in message.model_fields)
    assert "| `code` | jwe | yes | secret | notifications | |" in text
    assert "| `auth.codes.v1` | auth | notifications | 6 | 1 hour | 15 minutes | yes |" in text


def test_the_page_says_values_that_no_message_has_yet() -> None:
    text = page.text(with_message(ThingChanged))
    assert "| `many` | array of integer or null | yes | open | – | |" in text
    assert (
        page._value({"type": "string", "pattern": "^a|b$", "maxLength": 3})
        == "string, length at most 3, pattern `^a|b$`"
    )
    assert page._row(["a|b", 1]) == "| a\\|b | 1 |"


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(minutes=15), "15 minutes"),
        (timedelta(seconds=1.5), "1.5 seconds"),
    ],
)
def test_a_span_is_said_in_its_largest_whole_unit(time: timedelta, words: str) -> None:
    assert page.span(time) == words


def test_a_topic_that_nobody_uses_yet_is_its_owners() -> None:
    nothing = replace(FOUND, messages=(), readings=())
    assert (nothing.writers_of(DELIVERIES), nothing.readers_of(DELIVERIES)) == (["notifications"], [])
