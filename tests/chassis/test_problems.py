"""Whatever goes wrong is answered in one form, in the person's language, and shows nothing of the inside."""

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator
from itertools import chain

import httpx2
import pytest
from fastapi.exceptions import RequestValidationError

import chassis
from chassis import problems
from chassis.errors import Kind, Refusal
from chassis.http import LOCALES
from chassis.outbox import MessageTooLarge
from chassis.texts import Language, Texts
from tests.chassis.http_app import SECRET, TooManyThings, client_of, logged, make_app


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(make_app()) as client:
        yield client


async def test_a_refusal_is_answered_with_its_docstring_and_facts(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/errors/too-many", headers={"Accept-Language": "en", "X-Request-Id": "abcd-1234"})
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "30"
    assert answer.json() == {
        "type": "urn:samband:problem:too-many-things",
        "title": "There are too many things.",
        "detail": "There are too many things. Wait 30 seconds before you add one.",
        "status": 429,
        "instance": "urn:samband:request:abcd-1234",
    }


async def test_a_refusal_that_lacks_a_fact_is_still_that_refusal(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/errors/factless")
    assert answer.status_code == 429
    assert "Wait … seconds" in answer.json()["detail"]


async def test_an_unauthenticated_caller_is_told_how_to_authenticate(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/errors/unauthenticated")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.goal("ops-O9")
@pytest.mark.parametrize(
    ("name", "status"), [("bug", 500), ("outage", 503), ("not-acceptable", 406), ("teapot", 418), ("unforeseen", 500)]
)
async def test_an_answer_shows_nothing_of_the_inside(client: httpx2.AsyncClient, name: str, status: int) -> None:
    with logged():
        answer = await client.get(f"/v1/errors/{name}")
    assert answer.status_code == answer.json()["status"] == status
    shown = f"{answer.text} {answer.headers}"
    for inside in (SECRET, "Traceback", "Error", ".py", "select", "9.8.7"):
        assert inside not in shown


async def test_a_bug_is_logged_with_its_request_and_an_outage_says_when_to_come_back(
    client: httpx2.AsyncClient,
) -> None:
    with logged() as lines:
        await client.get("/v1/errors/bug", headers={"X-Request-Id": "request-one"})
        outage = await client.get("/v1/errors/outage")
    bug, seen, *_ = lines
    assert (bug["event"], bug["log_level"], bug["request_id"]) == ("http_failed", "error", "request-one")
    assert isinstance(bug["exc_info"], RuntimeError)
    assert (seen["event"], seen["request_id"]) == ("http_answered", "request-one")
    assert outage.headers["retry-after"] == "5"


async def test_the_frameworks_own_errors_are_problems_too(client: httpx2.AsyncClient) -> None:
    missing = await client.get("/nowhere", headers={"Accept-Language": "nn"})
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:samband:problem:not-found")
    assert missing.json()["title"] == "Det finst ingenting på denne adressa."
    assert missing.headers["content-language"] == "nn"
    wrong = await client.put("/v1/things", json={})
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["type"] == "urn:samband:problem:method-not-allowed"


async def test_each_wrong_field_is_named_with_a_reason_and_never_with_its_value(client: httpx2.AsyncClient) -> None:
    thing = {"name": "x", "amount": "canary", "colour": "canary", "made_at": "2026-01-31T12:00:00", "canary": "canary",
             "parts": [{"name": "ok"}, {"amount": 0}]}  # fmt: skip
    answer = await client.post("/v1/things", json=thing, headers={"Accept-Language": "en"})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:samband:problem:invalid-fields")
    found = {(error["pointer"], error["code"]): error["detail"] for error in answer.json()["errors"]}
    assert found == {
        ("#/name", "string_too_short"): "This is too short: the least length is 2.",
        ("#/amount", "int_parsing"): "This must be a whole number.",
        ("#/colour", "literal_error"): "This must be one of: 'red', 'blue'.",
        ("#/made_at", "timezone_aware"): "This time must name its time zone.",
        ("#/parts/1/name", "missing"): "This must be given.",
        ("#/parts/1/amount", "greater_than_equal"): "This must be at least 1.",
        ("#/canary", "extra_forbidden"): "This is not known here.",
    }
    assert answer.text.count("canary") == 1


async def test_parameters_are_named_where_they_stand(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/things/canary", params={"limit": 101})
    found = {(error["in"], error["pointer"], error["code"]) for error in answer.json()["errors"]}
    assert found == {("path", "#/thing_id", "uuid_parsing"), ("query", "#/limit", "less_than_equal")}
    assert "canary" not in answer.text


async def test_a_name_that_is_not_plain_is_not_repeated_and_a_flood_of_faults_is_cut(
    client: httpx2.AsyncClient,
) -> None:
    odd = await client.post("/v1/things", json={"name": "thing", "a b<script>": 1})
    assert odd.json()["errors"][0]["pointer"] == "#"
    many = await client.post("/v1/things", json={"name": "thing", "parts": [1] * 500})
    assert len(many.json()["errors"]) == problems.MOST_FIELDS


def test_an_unknown_fault_of_a_field_has_a_text_too() -> None:
    problem = problems.problem_of(RequestValidationError([{"type": "value_error", "loc": ("body", "name")}]))
    assert [(error.part, error.pointer, error.code) for error in problem.errors] == [("body", "#/name", "value_error")]


def test_every_kind_has_its_own_status() -> None:
    assert len({problems.status_of(kind) for kind in Kind}) == len(Kind)


def test_a_type_names_the_service_that_refused() -> None:
    class OIDCCodeWrong(TooManyThings):
        """No."""

    assert problems.type_of(MessageTooLarge) == "urn:samband:problem:message-too-large"
    OIDCCodeWrong.__module__ = "services.auth.errors"
    assert problems.type_of(OIDCCodeWrong) == "urn:samband:auth:oidc-code-wrong"


def _refusals(parent: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for child in parent.__subclasses__():
        yield child
        yield from _refusals(child)


def _texts() -> set[str]:
    for module in pkgutil.iter_modules(chassis.__path__, "chassis."):
        importlib.import_module(module.name)
    own = (refusal for refusal in _refusals() if refusal.__module__.startswith("chassis."))
    return set(chain(problems.TEXTS, map(problems.text_of, own)))


@pytest.mark.parametrize("language", [Language.NB, Language.NN])
def test_every_text_of_the_chassis_is_translated_with_its_facts(language: Language) -> None:
    say = Texts(LOCALES).gettext(language)
    texts = _texts()
    assert len(texts) > 30
    assert {text for text in texts if say(text) == text} == set()
    for text in texts:
        assert set(re.findall(r"{\w+}", say(text))) == set(re.findall(r"{\w+}", text))
        assert say(text).count("\n") == text.count("\n")
