"""Documents: every route says what it does, shows what it takes and gives, and names all that it declines."""

import inspect
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from chassis import openapi
from chassis.errors import Refusal
from chassis.problems import type_of
from deploy.documents import openapi as made
from deploy.documents import system
from services.auth.sessions import token_api
from tests.auth.rooms import modules
from tests.support import described
from tests.support.described import JSON, Described, Undescribed

NAMES = [each.name for each in system.found().services]
ELSEWHERE = {
    f"urn:samband:auth:{name}"
    for name in (
        "log-in-failed",
        "not-a-customer",
        "number-taken",
        "published-text-changed",
        "union-unnamed",
        "unreadable-file",
        "unreadable-terms",
        "wrong-address",
        "wrong-identity-number",
        "wrong-language",
        "wrong-name",
        "wrong-number",
        "wrong-organisation-name",
    )
}
"""What is declined by commands, files and requests alone; in a body of HTTP such a field is not valid."""


@pytest.fixture(params=NAMES)
def document(request: pytest.FixtureRequest) -> Described:
    return described.of(request.param)


def operations(document: Described) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document.document["paths"].items():
        yield from ((path, item[method]) for method in openapi.METHODS if method in item)


def contents(document: Described, operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what an operation takes and gives where it goes well, by media type."""
    yield from operation.get("requestBody", {}).get("content", {}).items()
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield from document.resolved(response).get("content", {}).items()


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(document: Described) -> None:
    found = list(operations(document))
    names = [operation["operationId"] for _, operation in found]
    assert len(names) == len(set(names)) > 0
    for path, operation in found:
        assert operation["summary"] != operation["operationId"].replace("_", " ").title(), f"{path} has no summary"
        assert operation["tags"], path
        assert all(document.resolved(each)["description"] for each in operation["responses"].values()), path


def test_every_parameter_is_explained(document: Described) -> None:
    shared = document.document["components"]["parameters"]
    assert shared.keys() == {"Accept-Language", "X-Request-Id"}
    for path, operation in operations(document):
        for parameter in (*operation.get("parameters", ()), *shared.values()):
            assert parameter.get("description"), f"{operation['operationId']} does not say what {parameter['name']} is"
        named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_every_body_and_every_answer_has_an_example_that_is_valid(document: Described) -> None:
    for _, operation in operations(document):
        for kind, content in contents(document, operation):
            if kind in {"application/octet-stream", "text/html"}:
                continue
            examples = document.resolved(content["schema"]).get("examples", [])
            assert examples, f"{operation['operationId']} shows no example of its {kind}"
            for example in examples:
                document.validator(content["schema"]).validate(example)


def test_every_example_of_a_schema_is_valid(document: Described) -> None:
    for name, schema in document.document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            errors = [error.message for error in document.validator(schema).iter_errors(example)]
            assert errors == [], name


def test_every_refusal_is_shown_as_it_is_answered(document: Described) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for name, example in document.document["components"]["examples"].items():
        shown = example["value"]
        document.validator(problem).validate(shown)
        assert shown["type"] == f"urn:samband:{name.replace('.', ':')}"
        assert example["summary"] == shown["title"]
        assert not {"…", "{", "}"} & set(shown["detail"]), f"{name} is shown without its facts"


def test_a_status_of_a_route_also_says_what_the_app_itself_answers_with_it() -> None:
    auth = described.of("auth")
    for path, operation in operations(auth):
        for status, name in (("400", "unreadable-address"), ("403", "cross-site"), ("422", "invalid-fields")):
            writes = operation is not auth.document["paths"][path].get("get")
            if status in operation["responses"]:
                shown = operation["responses"][status]["content"]["application/problem+json"]["examples"]
                assert (f"problem.{name}" in shown) == (status != "403" or writes), operation["operationId"]


def test_every_refusal_of_auth_is_documented_or_is_none_of_http() -> None:
    refusals = {
        type_of(found)
        for module in modules("errors")
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Refusal) and found.__module__ == module.__name__
    }
    auth = described.of("auth").document
    told = {example["value"]["type"] for example in auth["components"]["examples"].values()}
    oauth = auth["paths"][token_api.PATH]["post"]["responses"]
    told |= {
        f"urn:samband:auth:{name}" for status in ("400", "401") for name in oauth[status]["content"][JSON]["examples"]
    }
    assert refusals - told == ELSEWHERE


def test_what_is_documented_is_the_same_each_time() -> None:
    assert made.document.__wrapped__("auth") == made.document("auth")


ERASE = "https://auth.example.no/v1/users/0199a3e2-7c41-7d3a-9c0f-000000000002"
PROBLEM = {"title": "t", "detail": "d", "instance": "urn:x:y"}


def answer(
    status: int,
    kind: str | None = None,
    *,
    method: str = "DELETE",
    url: str = ERASE,
    asked: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    json: Any = None,
) -> httpx2.Response:
    """Give an answer, a problem where it has a `kind`."""
    asking = httpx2.Request(method, url, headers=asked)
    if kind is not None:
        json = {**PROBLEM, "type": f"urn:samband:{kind}", "status": status}
        headers = {"content-type": "application/problem+json", **(headers or {})}
    return httpx2.Response(status, request=asking, headers=headers, json=json)


@pytest.mark.parametrize(
    "given",
    [
        answer(204),
        answer(409, "auth:last-superuser"),
        answer(415, "problem:unsupported-body"),
        answer(405, "problem:method-not-allowed", method="PUT"),
        answer(404, "problem:not-found", url="https://auth.example.no/v1/nowhere"),
    ],
)
def test_an_answer_that_the_document_has_passes(given: httpx2.Response) -> None:
    described.of("auth").check(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(200, json={}), "does not have this status"),
        (answer(409, "auth:address-taken"), "does not tell of urn:samband:auth:address-taken"),
        (answer(404, "problem:unavailable"), "does not tell of urn:samband:problem:unavailable"),
        (answer(410, "auth:gone"), "does not tell of urn:samband:auth:gone"),
        (answer(404, "auth:no-such-user", headers={"Retry-After": "3"}), "the header Retry-After"),
        (answer(409, json={"type": "x"}), "does not have application/json here"),
        (answer(200, method="GET", json={"id": 7}), "'7' is not|7 is not|is a required property"),
        (answer(404, "auth:no-such-user", url="https://auth.example.no/v1/nowhere"), "is in no document"),
        (answer(200, method="GET", url="https://auth.example.no/v1/me?colour=red", json={}), "query parameter colour"),
        (answer(204, asked={"Idempotency-Key": "k"}), "header parameter Idempotency-Key"),
    ],
)
def test_an_answer_that_the_document_does_not_have_is_found(given: httpx2.Response, said: str) -> None:
    with pytest.raises(Undescribed, match=said):
        described.of("auth").check(given)
