"""Problems: every error as an answer that a program can match and a person can read (RFC 9457)."""

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any, assert_never

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from chassis.errors import Kind, Refusal
from chassis.postgres import is_outage
from chassis.texts import Language, Texts, choose_language

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
OUTAGE_SECONDS = 5
REQUEST_ID = "0199a3e2-7c41-7d3a-9c0f-5e8b2d4f6a10"
"""The request of examples."""
MOST_FIELDS = 20

_HTTP: Mapping[int, tuple[str, str]] = {
    400: ("bad-request", "The request cannot be read."),
    404: ("not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take this method."),
    406: ("not-acceptable", "There is no answer in the form that was asked for."),
    408: ("body-too-slow", "The body did not arrive in time."),
    413: ("body-too-large", "The body is too large."),
    415: ("unsupported-body", "This kind of body is not taken here.\n\nSend JSON in UTF-8, as application/json."),
    422: ("invalid-fields", "Something in the request is not valid.\n\nWhat and where stands under errors."),
    431: ("headers-too-large", "The address and the headers of the request are too large."),
    500: ("internal", "Something went wrong here.\n\nIt has been noted. Name the request id when you ask about it."),
    503: ("unavailable", "This cannot be done just now.\n\nTry again soon."),
}
_GROUPS: Mapping[str, str] = {
    "missing": "This must be given.",
    "extra_forbidden": "This is not known here.",
    "string_type string_unicode": "This must be text.",
    "string_too_short too_short": "This is too short: the least length is {min_length}.",
    "string_too_long too_long": "This is too long: the greatest length is {max_length}.",
    "string_pattern_mismatch": "This does not have the right form.",
    "unusable_text": "This text holds characters that cannot be kept.",
    "int_type int_parsing int_from_float int_parsing_size": "This must be a whole number.",
    "float_type float_parsing decimal_type decimal_parsing finite_number": "This must be a number.",
    "greater_than": "This must be greater than {gt}.",
    "greater_than_equal": "This must be at least {ge}.",
    "less_than": "This must be less than {lt}.",
    "less_than_equal": "This must be at most {le}.",
    "bool_type bool_parsing": "This must be true or false.",
    "datetime_type datetime_parsing datetime_from_date_parsing": "This must be a time, such as 2026-01-31T12:00:00Z.",
    "timezone_aware": "This time must name its time zone.",
    "date_type date_parsing date_from_datetime_parsing": "This must be a date, such as 2026-01-31.",
    "uuid_type uuid_parsing": "This must be a UUID.",
    "enum literal_error": "This must be one of: {expected}.",
    "list_type tuple_type set_type": "This must be a list.",
    "dict_type model_type model_attributes_type": "This must be an object.",
}
_FIELDS = {code: text for codes, text in _GROUPS.items() for code in codes.split()}
_FIELD = "This is not valid."
_BOUNDS = ("min_length", "max_length", "gt", "ge", "lt", "le", "expected")

TEXTS = (*(text for _, text in _HTTP.values()), *_GROUPS.values(), _FIELD)
"""The English texts that stand here, to be translated; a refusal's text is its docstring."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What was declined, and why (RFC 9457). Programs go by `type`, people read `title` and `detail`.",
    "required": ["type", "title", "detail", "status", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "status": {"type": "integer"},
        "instance": {"type": "string", "format": "uri"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "pointer", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("in", "pointer", "code", "detail")},
            },
        },
    },
}
"""JSON Schema of an answer, for OpenAPI."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field: `part` is `body`, `query`, `path`, `header` or `cookie`; never the value."""

    part: str
    pointer: str
    code: str
    bounds: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on its way to an answer; the first line of `text` (English, a msgid) is the title, all the detail."""

    status: int
    type: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[FieldError] = ()


class Answerer:
    """Answers errors in the language that the request asks for; FastAPI takes one as an exception handler.

    A text is looked up in the given catalogues, the first that has it wins.
    """

    def __init__(self, texts: Sequence[Texts], default: Language) -> None:
        self._texts = texts
        self._default = default

    async def __call__(self, request: Request, error: Exception) -> Response:
        """Give the answer to any error; what is no refusal is logged here, and nothing of it is shown (ops-O9)."""
        problem = problem_of(error)
        if is_outage(error):
            log.warning("http_met_outage", error=type(error).__name__, exc_info=error)
        elif problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("http_failed", error=type(error).__name__, exc_info=error)
        language = choose_language(", ".join(request.headers.getlist("accept-language")) or None, self._default)
        content = self.content(problem, language, request.state.request_id)
        headers = {**problem.headers, "Content-Language": language.value}
        return Response(_encode(content), problem.status, headers=headers, media_type=MEDIA_TYPE)

    def content(self, problem: Problem, language: Language, request_id: str) -> dict[str, object]:
        """Give what an answer says."""
        said = self._say(problem.text, language, problem.facts)
        content: dict[str, object] = {
            "type": problem.type,
            "title": said.partition("\n")[0],
            "detail": " ".join(said.split()),
            "status": problem.status,
            "instance": f"urn:samband:request:{request_id}",
        }
        if problem.errors:
            content["errors"] = [
                {
                    "in": error.part,
                    "pointer": error.pointer,
                    "code": error.code,
                    "detail": self._say(_FIELDS.get(error.code, _FIELD), language, error.bounds),
                }
                for error in problem.errors
            ]
        return content

    def _say(self, msgid: str, language: Language, facts: Mapping[str, object]) -> str:
        translations = (texts.gettext(language)(msgid) for texts in self._texts)
        return next((said for said in translations if said != msgid), msgid).format_map(_Facts(facts))


def problem_of(error: Exception) -> Problem:
    """Say what an error is to the caller; the cause of a bug or an outage is left out."""
    match error:
        case Refusal():
            return _problem_of_refusal(error)
        case RequestValidationError():
            return _http(HTTPStatus.UNPROCESSABLE_ENTITY, errors=list(_field_errors(error.errors())))
        case HTTPException():
            return _http(error.status_code, headers=error.headers or {})
        case _ if is_outage(error):
            return _http(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(OUTAGE_SECONDS)})
        case _:
            return _http(HTTPStatus.INTERNAL_SERVER_ERROR)


def example_of(error: Exception) -> tuple[Problem, Mapping[str, object]]:
    """Give the answer to an error as documents show it: in English."""
    problem = problem_of(error)
    return problem, Answerer((), Language.EN).content(problem, Language.EN, REQUEST_ID)


def status_of(kind: Kind) -> int:  # noqa: C901, PLR0911 -- a table, which the type checker finds complete.
    """Give the HTTP status of a kind of refusal (RFC 9110, 15.5; RFC 6585)."""
    match kind:
        case Kind.INVALID:
            return 400
        case Kind.UNAUTHENTICATED:
            return 401
        case Kind.FORBIDDEN:
            return 403
        case Kind.MISSING:
            return 404
        case Kind.CONFLICT:
            return 409
        case Kind.STALE:
            return 412
        case Kind.TOO_LARGE:
            return 413
        case Kind.UNSUPPORTED:
            return 415
        case Kind.UNPROCESSABLE:
            return 422
        case Kind.TOO_MANY:
            return 429
        case Kind.UNAVAILABLE:
            return 503
    assert_never(kind)


def text_of(refusal: type[Refusal]) -> str:
    """Give a refusal's English text, which is also its msgid: the docstring without its indentation."""
    return inspect.cleandoc(refusal.__doc__ or refusal.__name__)


def say(refusal: Refusal) -> str:
    """Say a refusal in English, in one line, for those who are not asked for their language."""
    return " ".join(text_of(type(refusal)).format_map(_Facts(refusal.facts)).split())


def type_of(refusal: type[Refusal]) -> str:
    """Name a refusal for programs: stable as long as its class keeps its name and its service."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", refusal.__name__).lower()
    match refusal.__module__.split("."):
        case ["services", service, *_]:
            return f"urn:samband:{service}:{name}"
        case _:
            return f"urn:samband:problem:{name}"


def _problem_of_refusal(refusal: Refusal) -> Problem:
    headers = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.challenge is not None:
        headers["WWW-Authenticate"] = refusal.challenge
    refused = type(refusal)
    return Problem(status_of(refusal.kind), type_of(refused), text_of(refused), refusal.facts, headers)


def _http(status: int, headers: Mapping[str, str] | None = None, errors: Sequence[FieldError] = ()) -> Problem:
    if status not in _HTTP:
        return Problem(status, "about:blank", HTTPStatus(status).phrase, headers=headers or {})
    name, text = _HTTP[status]
    return Problem(status, f"urn:samband:problem:{name}", text, headers=headers or {}, errors=errors)


def _field_errors(errors: Iterable[Mapping[str, Any]]) -> Iterable[FieldError]:
    for error in islice(errors, MOST_FIELDS):
        part, *path = error["loc"] or ("body",)
        bounds = {name: value for name, value in error.get("ctx", {}).items() if name in _BOUNDS}
        if "expected" in bounds:
            bounds["expected"] = str(bounds["expected"]).replace("' or '", "', '")  # Pydantic joins them in English.
        yield FieldError(str(part), _pointer(path), error["type"], bounds)


def _pointer(path: Iterable[str | int]) -> str:
    """Write a JSON pointer as a URI fragment (RFC 6901, 6), as far as its names are plain: others may be anything."""
    pointer = "#"
    for name in path:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", str(name)):
            break
        pointer += f"/{name}"
    return pointer


class _Facts(dict[str, object]):
    """A fact that a text names and the refusal lacks must not turn the refusal into a failure."""

    def __missing__(self, key: str) -> str:
        return "…"


def _encode(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
