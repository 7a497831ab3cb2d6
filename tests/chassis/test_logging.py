"""Log lines: one JSON object each, with ids and places, without what belongs to a person or opens a door."""

import base64
import io
import json
import logging as standard
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import structlog
from pydantic import SecretStr

from chassis import logging
from chassis.arrival import Broken
from chassis.logging import MASK, SECRET_NAMES
from chassis.postgres import Database
from contracts.privacy import Sealed

Lines = Callable[[], list[dict[str, Any]]]
log = structlog.get_logger()
CANARY = "canary 577215"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Log as a worker does; each line must be one JSON object."""
    root, config, output = standard.getLogger(), structlog.get_config(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr("sys.stdout", output)
    logging.configure("things", "worker", "INFO")

    def written() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in output.getvalue().splitlines()]
        assert all(isinstance(line, dict) for line in found)
        return found

    yield written
    structlog.configure(**config)
    root.handlers = handlers
    root.setLevel(level)


def test_a_line_says_what_happened_when_where_and_to_what(lines: Lines) -> None:
    log.info("thing_happened", thing_id="t-1", attempts=2)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("logger")
    assert line == {
        "event": "thing_happened", "level": "info", "service": "things", "role": "worker", "thing_id": "t-1", "attempts": 2
    }  # fmt: skip


def test_what_is_bound_to_the_context_stands_on_every_line(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1", email=CANARY):
        log.info("first")
        standard.getLogger("some.library").warning("second")
    assert [(line["event"], line["request_id"], line["email"]) for line in lines()] == [
        ("first", "r-1", MASK),
        ("second", "r-1", MASK),
    ]


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    log.debug("detail")
    standard.getLogger("some.library").debug("detail")
    standard.getLogger("aiokafka.conn").info("chatter")
    standard.getLogger("aiokafka.conn").warning("trouble")
    assert [line["event"] for line in lines()] == ["trouble"]


@pytest.mark.goal("sec-P9")
@pytest.mark.parametrize("name", [*sorted(SECRET_NAMES), "Authorization", "EMAIL"])
def test_what_stands_under_a_secret_name_is_masked_at_any_depth(name: str, lines: Lines) -> None:
    log.info("thing_happened", **{name: CANARY})
    log.info("thing_happened", details={"more": [{name: CANARY}, ({name: {"x": CANARY}},)]})
    standard.getLogger("some.library").warning("text", extra={})
    first, second, _ = lines()
    assert first[name] == MASK
    assert second["details"] == {"more": [{name: MASK}, [{name: MASK}]]}


@dataclass
class Holder:
    code: Sealed[Any]
    key: SecretStr


@pytest.mark.goal("sec-P9")
@pytest.mark.parametrize(
    "value",
    [
        Sealed[Any](CANARY),
        Sealed[Any].from_token(CANARY, CANARY),
        SecretStr(CANARY),
        CANARY.encode(),
        [Sealed[Any](CANARY)],
        {"x": {"y": SecretStr(CANARY)}},
        (CANARY.encode(),),
        {CANARY.encode()},
        frozenset({CANARY.encode()}),
        bytearray(CANARY.encode()),
        memoryview(CANARY.encode()),
        Holder(Sealed(CANARY), SecretStr(CANARY)),
        ValueError(CANARY),
        {"error": asyncpg.UniqueViolationError(CANARY)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_secret_by_its_kind_is_masked_under_any_name(value: object, lines: Lines) -> None:
    log.info("thing_happened", about=value)
    shown = json.dumps(lines(), ensure_ascii=False)
    assert CANARY not in shown
    assert base64.b64encode(CANARY.encode()).decode() not in shown


def test_an_own_error_given_as_a_value_says_what_is_wrong(lines: Lines) -> None:
    log.info("thing_happened", error=Broken("ce_id is missing"))
    assert lines()[0]["error"] == "Broken: ce_id is missing"


@pytest.mark.goal("sec-P9")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_line_end_in_a_value_stays_inside_its_line(end: str, lines: Lines) -> None:
    forged = f'a{end}{{"event": "all_is_well"}}'
    log.info("thing_happened", about=forged, **{f"x{end}y": 1})
    standard.getLogger("some.library").warning(forged)
    first, second = lines()
    assert (first["about"], second["event"]) == (forged, forged)


async def violate(database: Database) -> None:
    async with database.transaction() as conn:
        for _ in range(2):
            await conn.execute("insert into inbox (source, message_id) values ($1, 'x')", CANARY)


@pytest.mark.goal("sec-P9")
async def test_what_postgres_says_of_a_row_is_not_shown_but_where_it_failed_is(
    database: Database, lines: Lines
) -> None:
    quoted = False
    try:
        await violate(database)
    except asyncpg.UniqueViolationError as error:
        quoted = CANARY in str(error)
        log.exception("thing_failed", thing_id="t-1")
        log.warning("thing_failed", exc_info=error)
        standard.getLogger("some.library").exception("thing failed")
    found = lines()
    assert quoted
    assert CANARY not in json.dumps(found, ensure_ascii=False)
    for line in found:
        (failure,) = line["failure"]
        assert failure["error"] == "UniqueViolationError"
        places = [place.partition(":")[0] + place.rpartition(" ")[2] for place in failure["at"]]
        assert "test_logging.pyviolate" in places
        assert not {"exception", "exc_info", "stack"} & set(line)


def fail() -> None:
    try:
        int(CANARY)
    except ValueError as error:
        raise Broken("ce_id is missing") from error


def test_an_error_is_shown_with_what_led_to_it(lines: Lines) -> None:
    try:
        fail()
    except Broken:
        log.exception("thing_failed")
    (line,) = lines()
    assert [failure["error"] for failure in line["failure"]] == ["Broken: ce_id is missing", "ValueError"]
    assert CANARY not in json.dumps(line)


def test_the_errors_of_a_group_are_shown_each(lines: Lines) -> None:
    log.error("thing_failed", exc_info=ExceptionGroup(CANARY, [ValueError(CANARY), Broken("ce_id is missing")]))
    (line,) = lines()
    assert [failure["error"] for failure in line["failure"]] == [
        "ExceptionGroup",
        "ValueError",
        "Broken: ce_id is missing",
    ]
    assert CANARY not in json.dumps(line)


def test_an_error_that_is_its_own_cause_is_shown_once(lines: Lines) -> None:
    error = Broken("round")
    error.__cause__ = other = ValueError()
    other.__cause__ = error
    log.warning("thing_failed", exc_info=error)
    (line,) = lines()
    assert [failure["error"] for failure in line["failure"]] == ["Broken: round", "ValueError"]


def test_a_line_about_no_error_has_no_failure(lines: Lines) -> None:
    log.error("thing_failed", exc_info=True)  # noqa: LOG014 -- that there is no error is the point.
    log.info("thing_happened", exc_info=None)
    assert all("failure" not in line for line in lines())


def test_what_kafkas_client_says_again_and_again_is_written_once_in_a_while(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = standard.getLogger("aiokafka.client")
    for node in range(100):
        client.error("Unable connect to node with id %s", node)
        client.error("Unable to update metadata from %s", node)
        log.error("own_line", node=node)
    events = [line["event"] for line in lines()]
    assert events.count("Unable connect to node with id 0") == 1
    assert events.count("Unable to update metadata from 0") == 1
    assert events.count("own_line") == 100
    assert len(events) == 102
    now = time.monotonic()
    monkeypatch.setattr("chassis.logging.time.monotonic", lambda: now + logging.AGAIN_SECONDS)
    client.error("Unable connect to node with id %s", 7)
    assert lines()[-1]["event"] == "Unable connect to node with id 7"
