"""OpenAPI: a service's document names every refusal of every route, and shows each as it is answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from chassis import problems
from chassis.errors import Refusal

Responses = dict[int | str, dict[str, Any]]
METHODS = ("get", "put", "post", "patch", "delete")
_ABOUT = """\
Every refusal is a problem (RFC 9457): programs go by its `type`, which stays; people read `title` and `detail`, in the
language that `Accept-Language` asks for. What may be refused stands at each route, what any request may meet under
`default`. `x-needs` says who may call a route."""
_DECLINED = "Declined, for one of these reasons."
_NO_ROUTE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "Retry-After": {
        "description": "Seconds after which it can go well.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 6750); where a surer sign-in is needed, which one (RFC 9470).",
        "schema": {"type": "string"},
    },
}
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "Accept-Language": {
        "name": "Accept-Language",
        "in": "header",
        "description": "In which of nb, nn and en a person is spoken to, also by refusals.",
        "schema": {"type": "string"},
        "example": "nn, nb;q=0.8",
    },
    "X-Request-Id": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Names the request in its answer and in the log; else a name is made.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{8,64}$"},
        "example": problems.REQUEST_ID,
    },
}


@dataclass(frozen=True, slots=True)
class Recognition:
    """By what else than an access token a service knows its callers, as OpenAPI says it, and how it refuses others.

    An authenticator has it as its attribute `recognition`.
    """

    schemes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refusals: Sequence[type[Refusal]] = ()


def refused(*refusals: Refusal | type[Refusal]) -> Responses:
    """Describe what a route may decline, for its `responses`: one answer a status, an example for each refusal.

    One that has facts, or says when to come again, is given as an instance, so that its example shows them.
    """
    responses: Responses = {}
    for refusal in refusals:
        _add(responses, refusal if isinstance(refusal, Refusal) else refusal())
    return responses


def complete(document: dict[str, Any], common: Sequence[Exception], recognition: Recognition | None = None) -> None:
    """Add to a document what holds for all routes: `common` are what the app itself may answer before any of them.

    These are told once, as the default answer, and beside a route's own refusals where those have the same status.
    """
    recognition = recognition or Recognition()
    document["info"]["description"] = _ABOUT
    components = document.setdefault("components", {})
    kept = components.setdefault("examples", {})
    for item in document["paths"].values():
        item["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in _PARAMETERS]
        for method in METHODS:
            if method in item:
                possible = [error for error in common if _may_meet(method, item[method], error)]
                _complete_operation(item[method], possible, recognition, kept)
    for schema in components.setdefault("schemas", {}).values():
        if "example" in schema:  # OpenAPI 3.1 has what JSON Schema has.
            schema["examples"] = [schema.pop("example")]
    components["schemas"]["Problem"] = problems.SCHEMA
    components["parameters"] = dict(_PARAMETERS)
    if "securitySchemes" in components:
        components["securitySchemes"] |= recognition.schemes
    components["responses"] = {"Problem": _default(common, kept)}
    components["examples"] = dict(sorted(kept.items()))


def _complete_operation(
    operation: dict[str, Any], common: Sequence[Exception], recognition: Recognition, kept: dict[str, Any]
) -> None:
    responses = operation["responses"]
    if "security" in operation:
        operation["security"] = [{name: []} for name in recognition.schemes] + operation["security"]
        _merge(responses, [each() for each in recognition.refusals])
    _merge(responses, common, only_there=True)
    for response in responses.values():
        _shorten(response, kept)
    responses["default"] = {"$ref": "#/components/responses/Problem"}
    operation["responses"] = dict(sorted(responses.items()))  # Digits come before `default`.


def _may_meet(method: str, operation: Mapping[str, Any], error: Exception) -> bool:
    match problems.problem_of(error).status:
        case HTTPStatus.FORBIDDEN:  # Only a request that writes is asked where it comes from.
            return method != "get"
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            return bool(operation.get("requestBody") or operation.get("parameters"))
        case status:
            return status not in _NO_ROUTE


def _merge(responses: dict[Any, Any], errors: Sequence[Exception], *, only_there: bool = False) -> None:
    for error in errors:
        if not only_there or str(problems.problem_of(error).status) in responses:
            _add(responses, error, key=str)


def _add(responses: dict[Any, Any], error: Exception, key: type[int | str] = int) -> None:
    problem, shown = problems.example_of(error)
    response = responses.setdefault(key(problem.status), {"description": _DECLINED})
    _show(response, problem, shown)


def _show(response: dict[str, Any], problem: problems.Problem, shown: Mapping[str, Any]) -> None:
    content = response.setdefault("content", {}).setdefault(
        problems.MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    )
    name = problem.type.removeprefix("urn:samband:").replace(":", ".")
    content["examples"][name] = {"summary": shown["title"], "value": shown}
    headers = {
        name: {**_HEADERS[name], "example": problem.headers[name]} for name in problem.headers if name in _HEADERS
    }
    if headers:
        response["headers"] = headers | response.get("headers", {})


def _default(common: Sequence[Exception], kept: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": "What may be answered to any request."}
    for error in common:
        _show(response, *problems.example_of(error))
    _shorten(response, kept)
    return response


def _shorten(response: dict[str, Any], kept: dict[str, Any]) -> None:
    """Say in words what a response may mean, and keep its examples among the components, each once."""
    content = response.get("content", {}).get(problems.MEDIA_TYPE)
    if content is None:
        return
    lines = [f"- `{each['value']['type']}`: {each['summary']}" for each in content["examples"].values()]
    response["description"] = "\n".join([response["description"], "", *lines])
    for name, example in content["examples"].items():
        kept.setdefault(name, example)
    content["examples"] = {name: {"$ref": f"#/components/examples/{name}"} for name in content["examples"]}
