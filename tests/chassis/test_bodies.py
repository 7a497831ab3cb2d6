"""A body is bounded, of a known kind and clean before any of our code sees it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis import bodies
from tests.chassis.http_app import client_of, make_app, served

JSON = {"Content-Type": "application/json"}
LARGEST = 65_536


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(make_app()) as client:
        yield client


async def post(client: httpx2.AsyncClient, content: bytes, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/anything", content=content, headers={**JSON, "Accept-Language": "en", **named})


@pytest.mark.parametrize(
    "body", ['"ø"', "[1, 2.5, null]", '{"a": {"b": "\\ud83d\\ude00"}}', '"' + "x" * (LARGEST - 2) + '"']
)
async def test_clean_json_passes_up_to_the_limit(client: httpx2.AsyncClient, body: str) -> None:
    answer = await post(client, body.encode(), Content_Type='Application/JSON; charset="UTF-8"')
    assert (answer.status_code, answer.json()) == (200, json.loads(body))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"canary": 1,\n "b": canary}', "Line 2, column 7"),
        (b"", None),
        (b"   ", "Line 1, column 4"),
        (b'"caf\xe9"', "Line 1, column 5"),
        (b'[1,\n"\xed\xa0\x80"]', "Line 2, column 2"),
        ("\ufeff{}".encode(), "Line 1, column 1"),
        ("{}".encode("utf-16"), "Line 1, column 1"),
        (b'"raw \x00"', "Line 1, column 6"),
    ],
)
async def test_what_is_not_json_is_named_by_its_place_only(
    client: httpx2.AsyncClient, body: bytes, place: str | None
) -> None:
    answer = await post(client, body)
    if place is None:
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "missing")
        return
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:samband:problem:malformed-json")
    assert place in answer.json()["detail"]
    assert "canary" not in answer.text


@pytest.mark.parametrize("body", ["[" * 65 + "]" * 65, "[" * 30_000, "NaN", "[-Infinity]", "9" * 5_000])
async def test_json_beyond_what_is_sane_is_refused(client: httpx2.AsyncClient, body: str) -> None:
    answer = await post(client, body.encode())
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:samband:problem:json-beyond-limits")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (r'{"a": ["ok", "x\u0000y"]}', "#/a/1", "unusable_text"),
        (r'{"a": {"b": "\ud800"}}', "#/a/b", "unusable_text"),
        (r'{"a": {"\udfff": 1}}', "#/a", "unusable_text"),
        (r'"\ude00\ud83d"', "#", "unusable_text"),
        ('{"a": 1e999}', "#/a", "finite_number"),
    ],
)
async def test_what_postgres_cannot_keep_is_named_by_its_field(
    client: httpx2.AsyncClient, body: str, pointer: str, code: str
) -> None:
    answer = await post(client, body.encode())
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["in"], error["pointer"], error["code"]) == ("body", pointer, code)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Type": "application/json; charset=iso-8859-1"},
        {"Content_Type": ""},
        {"Content_Encoding": "gzip"},
    ],
)
async def test_an_unknown_kind_of_body_is_refused(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    answer = await post(client, b"{}", **headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:samband:problem:unsupported-body")


async def test_a_kind_that_the_service_allows_is_passed_on_and_still_bounded() -> None:
    async with client_of(make_app(content_types=["text/plain"], largest_body=10)) as client:
        assert (await post(client, b"plain", Content_Type="text/plain")).status_code == 200
        assert (await post(client, b"[]")).status_code == 415
        answer = await client.post("/v1/anything", content=_pieces(b"x" * 6, 2), headers={"Content-Type": "text/plain"})
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:samband:problem:body-too-large")


async def _pieces(piece: bytes, times: int) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield piece


async def test_a_large_body_is_cut_while_it_streams(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/anything", content=_pieces(b"[" * 1_000, 100), headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:samband:problem:body-too-large")


@pytest.mark.parametrize(
    ("length", "status"), [("65537", 413), ("9" * 5_000, 413), ("-1", 400), ("ten", 400), ("²", 400)]
)
async def test_a_declared_size_is_judged_before_the_body_is_read(length: str, status: int) -> None:
    asked: list[str] = []
    sent = await _call({"Content-Length": length, **JSON}, asked)
    assert sent[0]["status"] == status
    assert asked == []


async def _call(headers: dict[str, str], asked: list[str]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        asked.append("body")
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode("utf-8")) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/anything", "query_string": b"", "headers": raw}
    await make_app()(scope, receive, send)
    return sent


async def test_a_caller_who_leaves_in_the_middle_gets_no_answer_and_is_no_failure() -> None:
    assert await _call(JSON, []) == []


async def test_a_body_that_does_not_come_is_not_waited_for(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.01)

    async def never() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    answer = await client.post("/v1/anything", content=never(), headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (408, "urn:samband:problem:body-too-slow")


async def _raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 1000000000\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b" " * 16_384 + b"\r\n") * 5,
    ],
    ids=["declared", "chunked without end"],
)
async def test_on_the_wire_a_large_body_is_answered_and_the_connection_closed(rest: bytes) -> None:
    head = b"POST /v1/anything HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with served(make_app()) as port:
        answer = await _raw(port, head + rest)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:samband:problem:body-too-large" in answer
    assert b"connection: close" in answer.lower()


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)
_BODIES = st.binary(max_size=200) | _JSON_VALUES.map(lambda value: json.dumps(value).encode())


@settings(max_examples=100, deadline=None)
@given(
    body=_BODIES, path=st.sampled_from(["things", "anything"]), kind=st.sampled_from(["application/json"]) | st.text()
)
async def test_no_bytes_at_all_make_a_failure(body: bytes, path: str, kind: str) -> None:
    headers = [(b"content-type", kind.encode("utf-8", "replace"))]
    async with client_of(_APP) as client:
        answer = await client.post(f"/v1/{path}", content=body, headers=headers)
    assert answer.status_code < 500


_THINGS = st.dictionaries(st.sampled_from(["name", "amount", "colour", "made_at", "parts", "else"]), _JSON_VALUES)


@settings(max_examples=100, deadline=None)
@given(thing=_THINGS, query=st.text(), identity=st.text(min_size=1))
async def test_no_field_at_all_makes_a_failure(thing: dict[str, Any], query: str, identity: str) -> None:
    async with client_of(_APP) as client:
        added = await client.post("/v1/things", content=json.dumps(thing).encode(), headers=JSON)
        shown = await client.get(f"/v1/things/{quote(identity, safe='')}", params={"limit": query})
    assert max(added.status_code, shown.status_code) < 500


_APP = make_app()
