"""HTTP: a service's app, in which every answer is safe, timed and named, and every error is a problem (RFC 9457)."""

import ipaddress
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Span, SpanKind
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from chassis import access, bodies, openapi, problems, telemetry, tracing
from chassis.access import Authenticator
from chassis.errors import Kind, Misconfigured, Refusal
from chassis.openapi import Recognition
from chassis.problems import Answerer
from chassis.scope import entered
from chassis.texts import Language, Texts

log = structlog.get_logger()

LOCALES = Path(__file__).parent / "locales"
LARGEST_HEADERS = 16_384
READING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
METHODS = READING | {"POST", "PUT", "PATCH", "DELETE"}
UNMATCHED = "unmatched"
GONE = 499
"""The status noted when the client left before there was an answer; none is sent."""
SERVER_FAILED = 500
NO_OWN_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would send paths, queries, hosts and exceptions to the endpoint, with all that people put into them."""
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


class CrossSite(Refusal):
    """This request comes from another site.

    Only our own pages may change something on your behalf.
    """

    kind = Kind.FORBIDDEN


class UnreadableAddress(Refusal):
    """The address holds a character that nothing here is named with."""

    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class _Admission:
    """What a request must be to reach the service's code."""

    largest_body: int
    content_types: Collection[str]
    origins: Collection[str]
    same_site: bool
    streamed: Mapping[re.Pattern[str], int]
    forms: Collection[str]

    async def admit(self, scope: Scope, receive: Receive) -> Receive:
        """Refuse what may not enter; give the way to read the body on."""
        headers = Headers(scope=scope)
        target = scope.get("raw_path", b"") + scope["query_string"]
        if len(target) + sum(len(name) + len(value) for name, value in headers.raw) > LARGEST_HEADERS:
            raise HTTPException(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise UnreadableAddress
        if scope["method"] not in READING:
            self._refuse_cross_site(headers)
            for path, largest in self.streamed.items():
                if path.fullmatch(scope["path"]):
                    return bodies.admit_octets(headers, receive, largest=largest)
            if scope["path"] in self.forms:
                return await bodies.admit_form(headers, receive, largest=self.largest_body)
        return await bodies.admit(headers, receive, largest=self.largest_body, content_types=self.content_types)

    def _refuse_cross_site(self, headers: Headers) -> None:
        """Refuse a page of another site (sec-A16); a program sends neither header. The Host is never asked."""
        sites = {"same-origin", "none", "same-site"} if self.same_site else {"same-origin", "none"}
        if not sites.issuperset(headers.getlist("sec-fetch-site")):
            raise CrossSite
        if not set(self.origins).issuperset(headers.getlist("origin")):
            raise CrossSite


def create_app(  # noqa: PLR0913 -- a service's choices, each by its name.
    *,
    title: str,
    version: str,
    routers: Sequence[APIRouter],
    authenticator: Authenticator | None = None,
    texts: Sequence[Texts] = (),
    largest_body: int = 65_536,
    content_types: Collection[str] = (bodies.JSON,),
    origins: Collection[str] = (),
    same_site: bool = False,
    streamed: Mapping[re.Pattern[str], int] | None = None,
    forms: Collection[str] = (),
    default_language: Language = Language.NB,
    quiet: Collection[str] = ("/livez", "/readyz", "/metrics"),
    trust_traceparent: bool = False,
) -> FastAPI:
    """Make a service's app; raises `Misconfigured` for a route that does not say who may call it (`chassis/access.py`).

    `authenticator` finds out who calls, for the routes that need to know.
    `texts` are the service's own catalogues; the chassis' come after them. `largest_body` is in bytes. `origins` are
    those of our own pages (`https://portal.example`); `same_site` also lets pages write that a browser calls same-site
    (sec-A16). What is written to a path in `streamed` are octets, at most so many bytes, which the route reads as they come
    (sec-F1); to a path in `forms`, a form. Paths in `quiet` are timed but neither logged nor traced. With
    `trust_traceparent` the trace that a caller names goes on here; else ours is a new one, linked to it. A router carries
    its own prefix, which then stands in the metrics' route.
    """
    admission = _Admission(largest_body, content_types, origins, same_site, streamed or {}, forms)
    answerer = Answerer((*texts, Texts(LOCALES)), default_language)
    app = _App(
        recognition=getattr(authenticator, "recognition", None),
        title=title,
        version=version,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_OWN_TELEMETRY,
        redirect_slashes=False,  # A redirect would be built from the Host header.
        responses={"default": {"description": "A problem (RFC 9457)."}},
        generate_unique_id_function=lambda route: route.name,
        exception_handlers={HTTPException: answerer, RequestValidationError: answerer},
        middleware=[
            Middleware(_Answering, answerer=answerer, quiet=frozenset(quiet), trust_traceparent=trust_traceparent),
            Middleware(_Admitting, admission=admission),
        ],
    )
    if access.declare(routers) and authenticator is None:
        raise Misconfigured(f"{title} has routes that need a caller, and nothing that finds out who calls")
    app.state.authenticator = authenticator
    for router in routers:
        app.include_router(router)
    return app


COMMON: Sequence[Exception] = (
    HTTPException(HTTPStatus.BAD_REQUEST),
    UnreadableAddress(),
    bodies.MalformedJson(line=1, column=14),
    bodies.JsonBeyondLimits(deepest=bodies.DEEPEST),
    CrossSite(),
    HTTPException(HTTPStatus.NOT_FOUND),
    HTTPException(HTTPStatus.METHOD_NOT_ALLOWED),
    HTTPException(HTTPStatus.REQUEST_TIMEOUT),
    HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    RequestValidationError([{"loc": ("body", "address"), "type": "missing"}]),
    HTTPException(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR),
    HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(problems.OUTAGE_SECONDS)}),
)
"""What an app may answer whatever the route, for its document."""


class _App(FastAPI):
    """A FastAPI whose document says all that it may answer."""

    def __init__(self, *, recognition: Recognition | None, **choices: Any) -> None:
        super().__init__(**choices)
        self._recognition = recognition

    def openapi(self) -> dict[str, Any]:
        """Give the document, made once."""
        if self.openapi_schema is None:
            openapi.complete(super().openapi(), COMMON, self._recognition)
        return super().openapi()


class _Answering:
    """Outermost: names the request, answers what the inside raises, adds the headers, times and logs."""

    def __init__(self, app: ASGIApp, answerer: Answerer, quiet: Collection[str], *, trust_traceparent: bool) -> None:
        self._app = app
        self._answerer = answerer
        self._quiet = quiet
        self._trust_traceparent = trust_traceparent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(send, {**SECURITY_HEADERS, "X-Request-Id": request_id})
        started = time.perf_counter()
        with entered(None), self._traced(scope) as span, structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._answer(scope, receive, exchange)
            finally:
                self._note(scope, exchange.status, time.perf_counter() - started, span)

    def _traced(self, scope: Scope) -> AbstractContextManager[Span]:
        if scope["path"] in self._quiet:
            return nullcontext(tracing.NOTHING)
        theirs = tracing.read_header(Headers(scope=scope).get("traceparent"))
        parent, link = (theirs, None) if self._trust_traceparent else (None, theirs)
        return tracing.resumed(_method(scope), parent, kind=SpanKind.SERVER, links=[link])

    async def _answer(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:  # lint: allow swallowed -- nobody waits for an answer; the status says so in the log
            return
        except Exception as error:
            if exchange.status != GONE:
                log.exception("http_broke_off")
                raise  # Too late for an answer: the server must cut the connection.
            response = await self._answerer(Request(scope), error)
            await response(scope, receive, exchange.send)

    def _note(self, scope: Scope, status: int, seconds: float, span: Span) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        method = _method(scope)
        telemetry.HTTP_REQUESTS.labels(method=method, route=route, status=f"{status // 100}xx").observe(seconds)
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        if status >= SERVER_FAILED:
            tracing.fail(span, str(status))
        if route not in self._quiet:
            log.info("http_answered", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


class _Admitting:
    """Inside the answering: nothing reaches the routes that `_Admission` refuses."""

    def __init__(self, app: ASGIApp, admission: _Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = await self._admission.admit(scope, receive)
        await self._app(scope, receive, send)


class _Exchange:
    """One answer on its way out: notes its status, and adds each header that it does not bring itself."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self._headers = headers
        self.status = GONE

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "OTHER"


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid7())


def client_address(request: HTTPConnection, trusted_proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """Give the network address of the caller, as far as it can be believed; `unknown` on a socket that has none.

    Each trusted proxy is asked whom it served (RFC 7239, `Forwarded`, from the right); the first address that is no
    trusted proxy is the caller's. Where a trusted proxy's word cannot be read, the proxy itself is the answer.
    """
    address = _parse_address(request.client.host) if request.client else None
    if address is None:
        return "unknown"
    hops = (hop for header in reversed(request.headers.getlist("forwarded")) for hop in _split_from_right(header))
    while any(address in network for network in trusted_proxies):
        before = _served(next(hops, ""))
        if before is None:
            break
        address = before
    return str(address)


_PAIR = re.compile(r'[ \t]*([\w!#$%&\'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s";,]+)[ \t]*(?:;|$)', re.ASCII)
_NODE = re.compile(r"\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+)(?::[0-9]{1,5})?")


def _split_from_right(header: str) -> Iterator[str]:
    """Give the elements, the last first: what a proxy added is read before what a caller made up (`"`, unclosed)."""
    end, quoted = len(header), False
    for place in range(len(header) - 1, -1, -1):
        if header[place] == '"' and not _is_escaped(header, place):
            quoted = not quoted
        elif header[place] == "," and not quoted:
            yield header[place + 1 : end]
            end = place
    yield header[:end]


def _is_escaped(text: str, place: int) -> bool:
    before = text[:place]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _served(hop: str) -> IPv4Address | IPv6Address | None:
    """Read whom a proxy served, from one element of `Forwarded`; None where it cannot be read or does not say."""
    nodes, place = [], 0
    while place < len(hop):
        if not (pair := _PAIR.match(hop, place)):
            return None
        if pair[1].lower() == "for":
            nodes.append(pair[2].strip('"'))
        place = pair.end()
    node = _NODE.fullmatch(nodes[0]) if len(nodes) == 1 else None
    return _parse_address(node["v6"] or node["v4"]) if node else None


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
