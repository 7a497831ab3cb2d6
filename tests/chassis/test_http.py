"""Every answer is named, timed and safe, other sites write nothing, and nobody makes up where a call comes from."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from uuid import UUID

import httpx2
import pytest
import structlog
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from chassis.http import client_address
from tests.chassis.http_app import OURS, client_of, logged, make_app, served

THING = {"name": "thing"}
SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(make_app()) as client:
        yield client


async def test_a_sane_request_id_is_kept_and_given_back(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/things", json=THING, headers={"X-Request-Id": "Abc-12345"})
    assert answer.headers["x-request-id"] == "Abc-12345"


@pytest.mark.parametrize("given", [None, "short", "x" * 65, "line\tbreak-1234", "a b c d e f g"])
async def test_another_request_id_is_replaced_by_a_new_one(client: httpx2.AsyncClient, given: str | None) -> None:
    answer = await client.get("/nowhere", headers={} if given is None else {"X-Request-Id": given})
    assert UUID(answer.headers["x-request-id"]).version == 7
    assert answer.json()["instance"] == f"urn:samband:request:{answer.headers['x-request-id']}"


async def test_the_request_id_stands_in_every_log_line_of_the_request_and_in_none_after(
    client: httpx2.AsyncClient,
) -> None:
    with logged() as lines:
        await client.post("/v1/anything", json={}, headers={"X-Request-Id": "request-one"})
        structlog.get_logger().info("after")
    assert [(line["event"], line.get("request_id")) for line in lines] == [
        ("echoed", "request-one"),
        ("http_answered", "request-one"),
        ("after", None),
    ]


@pytest.mark.parametrize("path", ["/v1/things/x", "/nowhere", "/v1/errors/bug", "/livez", "/openapi.json"])
async def test_every_answer_carries_the_safe_headers(client: httpx2.AsyncClient, path: str) -> None:
    with logged():
        answer = await client.get(path)
    assert {name: answer.headers.get(name) for name in SAFE} == SAFE


async def test_a_line_a_request_is_logged_without_what_was_asked_or_sent(client: httpx2.AsyncClient) -> None:
    identity = "01a209cf-ea84-753e-b60d-94bdbd1bd06f"
    with logged() as lines:
        await client.get(f"/v1/things/{identity}?limit=7&canary=canary")
        await client.post("/v1/things", json={"name": "canary"})
        await client.get("/canary")
        await client.get("/livez")
    assert [(line["event"], line["method"], line["route"], line["status"]) for line in lines] == [
        ("http_answered", "GET", "/v1/things/{thing_id}", 200),
        ("http_answered", "POST", "/v1/things", 201),
        ("http_answered", "GET", "unmatched", 404),
    ]
    assert "canary" not in str(lines)
    assert identity not in str(lines)
    assert all(0 <= line["ms"] < 60_000 for line in lines)


def _timed(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": f"{status // 100}xx"}
    return REGISTRY.get_sample_value("samband_http_seconds_count", labels) or 0


async def test_answers_are_timed_by_route_with_bounded_labels(client: httpx2.AsyncClient) -> None:
    labels = [
        ("POST", "/v1/things", 422),
        ("GET", "unmatched", 404),
        ("OTHER", "unmatched", 404),
        ("GET", "/livez", 200),
    ]
    before = [_timed(*label) for label in labels]
    await client.post("/v1/things", json={})
    await client.get("/some/where")
    await client.get("/else/where")
    await client.request("BREW", "/pot")
    await client.get("/livez")
    counted = [_timed(*label) - earlier for label, earlier in zip(labels, before, strict=True)]
    assert counted == [1, 2, 1, 1]


@pytest.mark.goal("sec-A16")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": OURS},
        {"Sec-Fetch-Site": "what"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://demo.test", "Host": "demo.test"},
        {"Origin": "https://portal.example.evil.example", "Host": "portal.example"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
async def test_another_sites_page_cannot_write(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "MADEUP"):
        answer = await client.request(method, "/v1/things", json=THING, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:samband:problem:cross-site")


@pytest.mark.goal("sec-A16")
@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin", "Origin": OURS}, {"Sec-Fetch-Site": "none"}, {"Origin": OURS}]
)
async def test_our_own_pages_and_programs_write(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.post("/v1/things", json=THING, headers=headers)).status_code == 201


async def test_a_link_from_anywhere_may_read_and_same_site_can_be_allowed(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/livez", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200
    async with client_of(make_app(same_site=True)) as lenient:
        headers = {"Sec-Fetch-Site": "same-site", "Origin": OURS}
        assert (await lenient.post("/v1/things", json=THING, headers=headers)).status_code == 201


@pytest.mark.goal("sec-A16")
async def test_the_host_header_appears_in_no_answer(client: httpx2.AsyncClient) -> None:
    for path in ("/v1/things/", "/livez/", "/openapi.json", "/nowhere"):
        answer = await client.get(path, headers={"Host": "evil.example"})
        assert "evil.example" not in f"{answer.headers} {answer.text}"
        assert not answer.is_redirect


@pytest.mark.parametrize("path", ["/v1/errors/a%00b", "/v1/things/x?limit=%00"])
async def test_nul_in_an_address_is_refused(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:samband:problem:unreadable-address")


async def test_headers_beyond_the_limit_are_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/livez", headers={"X-Large": "x" * 16_384})
    assert (answer.status_code, answer.json()["type"]) == (431, "urn:samband:problem:headers-too-large")


async def test_every_problem_is_documented_and_no_page_is_served(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    answers = document["paths"]["/v1/things"]["post"]["responses"]
    assert answers.keys() == {"201", "default"}
    assert answers["default"] == {"$ref": "#/components/responses/Problem"}
    common = document["components"]["responses"]["Problem"]["content"]
    assert common.keys() == {"application/problem+json"}
    assert {"problem.invalid-fields", "problem.unavailable"} < common["application/problem+json"]["examples"].keys()
    assert [(await client.get(path)).status_code for path in ("/docs", "/redoc")] == [404, 404]


async def test_an_answer_that_breaks_off_is_seen_as_broken_by_the_caller() -> None:
    with logged() as lines:
        async with served(make_app()) as port, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get("/v1/breaks-off")
    assert [line["event"] for line in lines] == ["http_broke_off", "http_answered"]


async def test_requests_side_by_side_on_a_real_server_keep_their_ids() -> None:
    async with served(make_app()) as port, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        ids = [f"request-{number}" for number in range(50)]
        answers = await asyncio.gather(
            *(client.post("/v1/things", json=THING, headers={"X-Request-Id": i}) for i in ids)
        )
    assert [answer.headers["x-request-id"] for answer in answers] == ids
    assert {answer.status_code for answer in answers} == {201}
    assert "server" not in answers[0].headers


PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")]


def _address(peer: str | None, *forwarded: str) -> str:
    headers = [(b"forwarded", value.encode("latin-1")) for value in forwarded]
    client = None if peer is None else (peer, 4711)
    return client_address(Request({"type": "http", "headers": headers, "client": client}), PROXIES)


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("192.0.2.1", ["for=198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", ["for=198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["for=198.51.100.7;proto=https;by=10.0.0.1"], "198.51.100.7"),
        ("10.0.0.1", ["For=198.51.100.7, for=10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["for=198.51.100.7", "for=10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["for=203.0.113.9, for=198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ['for="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17"),
        ("10.0.0.1", ['for="198.51.100.7:80"'], "198.51.100.7"),
        ("2001:db8:ffff::1", ['proto=http; for="[2001:DB8::1]"'], "2001:db8::1"),
        ("::ffff:10.0.0.1", ['for="[::ffff:198.51.100.7]"'], "198.51.100.7"),
        ("10.0.0.1", ["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        (None, ["for=198.51.100.7"], "unknown"),
        ("/run/api.sock", ["for=198.51.100.7"], "unknown"),
    ],
)
def test_the_caller_is_who_the_first_trusted_proxy_served(peer: str | None, forwarded: list[str], caller: str) -> None:
    assert _address(peer, *forwarded) == caller


@pytest.mark.parametrize(
    "made_up",
    [
        'for="',
        "for=203.0.113.9;",
        'host="',
        '"\\',
        ",,,",
        "for=_hidden",
        'for=203.0.113.9;host="a,b"',
        "\xff",
        'a="\\"',
    ],
)
def test_what_a_caller_makes_up_is_left_of_what_the_proxy_says(made_up: str) -> None:
    assert _address("10.0.0.1", f"{made_up}, for=198.51.100.7") == "198.51.100.7"
    assert _address("10.0.0.1", made_up, "for=198.51.100.7") == "198.51.100.7"


@pytest.mark.parametrize(
    "said",
    [
        'for=198.51.100.7;host="evil,for=203.0.113.9;x="',
        'for=198.51.100.7;host="\\",for=203.0.113.9"',
        'for=198.51.100.7;host="evil, for=203.0.113.9\\""',
        'for=198.51.100.7;host="for=203.0.113.9;for=203.0.113.8"',
    ],
)
def test_a_host_that_looks_like_an_element_is_only_a_host(said: str) -> None:
    assert _address("10.0.0.1", said) == "198.51.100.7"


@pytest.mark.parametrize(
    "garbage",
    ["", "for", "for=", "for=unknown", "for=_secret", 'for="[::1"', "for=999.1.1.1", "for=1.2.3.4;for=5.6.7.8",
     'for="[fe80::1%eth0]"', "for=1.2.3.4:99999999", "proto=https", "for=1.2.3.4 for=5.6.7.8", 'for="1.2.3.4'],
)  # fmt: skip
def test_a_proxys_word_that_cannot_be_read_leaves_the_proxy(garbage: str) -> None:
    assert _address("10.0.0.1", garbage) == "10.0.0.1"


@given(st.text(st.characters(max_codepoint=255)), st.text(st.sampled_from('for=1.2,";\\[]: ')))
def test_no_header_at_all_hides_the_caller_that_the_proxy_saw(noise: str, likely: str) -> None:
    assert _address("10.0.0.1", noise + likely, "for=198.51.100.7") == "198.51.100.7"
    assert _address("10.0.0.1", f"{likely}{noise}, for=198.51.100.7") == "198.51.100.7"
    assert _address("192.0.2.1", likely, noise) == "192.0.2.1"
