"""OpenAPI: whatever a service's own document lets one send is answered as the document says, and never with a failure.

`SAMBAND_TEST_EXAMPLES=2000 make test` looks longer: so many requests for each service, instead of 150.
"""

import base64
import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import requests
import schemathesis
from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chassis import jwks, service
from chassis.service import Runtime
from deploy.documents import system
from services.auth.sessions import token_api
from tests.auth.world import Owner
from tests.conftest import Clone, OpenDatabase

EXAMPLES = int(os.environ.get("SAMBAND_TEST_EXAMPLES", "150"))
MANY = 1_000_000

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "auth": {
        "code_key": base64.b64encode(b"k" * 32).decode(),
        "password_pepper": base64.b64encode(b"p" * 32).decode(),
        "codes_per_quarter": MANY,
        "source_limit": MANY,
        "token_issuer": "https://auth.example.no",
    },
    "notifications": {
        "smtp_host": "127.0.0.1",
        "code_sender": "ikkesvar@eksempelforbundet.example",
        "organisation": "Eksempelforbundet",
        "support_email": "kundeservice@eksempelforbundet.example",
        "support_phone": "22 00 00 00",
        "portal_url": "https://portal.eksempelforbundet.example",
        "message_id_domain": "eksempelforbundet.example",
    },
}
"""What each service must be told besides, with limits that let everything through to what lies behind them."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

INSIDE = re.compile(
    r"traceback|line \d+|/(?:opt|srv|home|usr|tmp)/|\.py\b|relation \"|select .* from|insert into"
    r"|asyncpg|uvicorn|starlette|fastapi|pydantic|python",
    re.IGNORECASE,
)
NAMES = [each.name for each in system.found().services]
AnyCase = schemathesis.Case[Any]


@dataclass(frozen=True, slots=True)
class Served:
    """A service's app as its api role serves it, and requests drawn from the document that it gives of itself."""

    app: FastAPI
    requests: st.SearchStrategy[AnyCase]

    async def answer(self, case: AnyCase) -> httpx2.Response:
        """Send a request as it would come off the wire."""
        prepared = requests.Request(**case.as_transport_kwargs(base_url="https://service.example.no")).prepare()
        headers = [(name.encode("latin-1"), _wire(value)) for name, value in prepared.headers.items()]
        body = prepared.body if isinstance(prepared.body, str | bytes) else None
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport) as client:
            return await client.request(str(prepared.method), str(prepared.url), headers=headers, content=body)


def _wire(value: str | bytes) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else value


def served(app: FastAPI) -> Served:
    """Read an app's own document, and draw what it allows, and what it does not where it asks for anything."""
    found = list(schemathesis.openapi.from_dict(app.openapi()).get_all_operations())
    operations = [each.ok() for each in found if isinstance(each, Ok)]
    assert operations
    assert len(operations) == len(found), "an operation of the document cannot be read"
    right = [each.as_strategy(GenerationMode.POSITIVE) for each in operations]
    wrong = [each.as_strategy(GenerationMode.NEGATIVE) for each in operations if each.body or [*each.iter_parameters()]]
    return Served(app, st.one_of(right + wrong))


@pytest.fixture(params=NAMES)
async def api(request: pytest.FixtureRequest, clone: Clone, open_as: OpenDatabase) -> Served:
    """Give each service in its turn, on a database of the test."""
    name = request.param
    declared: service.Service[Any] = importlib.import_module(f"services.{name}.__main__").SERVICE
    keys = clone.cluster.keys
    told = declared.settings(
        database_url=clone.urls(name).app,
        public_keys=keys / "public",
        private_keys=keys / "private" / f"{name}.json",
        token_keys=keys / "tokens" / "public.json",
        token_private_keys=keys / "tokens" / "private.json",
        **SETTINGS[name],
    )
    runtime = Runtime(told, await open_as(name))
    runtime.voids.update((), {})
    routers = [*declared.routers(runtime), jwks.router(clone.cluster.keyring(name))]
    authenticator = service.authenticator_of(declared, runtime, routers)
    return served(service.app_of(declared, told, routers, authenticator))


@pytest.fixture
async def broken_api(api: Served, owner: Owner) -> Served:
    """Give each service when all of its tables are gone under it, as after a mistake of an operator."""
    tables = await owner.fetch(
        "select schemaname, tablename from pg_tables where schemaname = any('{auth,notifications}')"
    )
    for schema, table in tables:
        await owner.execute(f'alter table {schema}."{table}" rename to "gone_{table}"')
    await owner.execute("create table auth.spoilt ()")  # This database is not given to another test.
    return api


@pytest.mark.goal("ops-O8")
@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_whatever_a_service_is_sent_its_answer_is_one_that_its_document_has(
    api: Served, data: st.DataObject
) -> None:
    case = data.draw(api.requests)
    answer = await api.answer(case)
    case.validate_response(answer, checks=CHECKS)
    assert inside_of(answer) == []


@pytest.mark.goal("ops-O9")
@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_a_service_whose_tables_are_gone_changes_nothing_and_tells_nothing_of_it(
    broken_api: Served, data: st.DataObject
) -> None:
    case = data.draw(broken_api.requests)
    answer = await broken_api.answer(case)
    assert inside_of(answer) == []
    if answer.status_code >= httpx2.codes.BAD_REQUEST:
        own = {"application/json"} if case.path == token_api.PATH else set()  # RFC 6749 says how errors look there.
        assert answer.headers["content-type"] in {"application/problem+json"} | own
    else:
        assert case.method in {"GET", "DELETE"}  # The public keys, and to end a session without having one.


def inside_of(answer: httpx2.Response) -> list[str]:
    """Give what an answer tells of the inside: a stack, SQL, a path, a version. An answer that succeeds may hold any word."""
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    return INSIDE.findall(headers + answer.text if answer.status_code >= httpx2.codes.BAD_REQUEST else headers)


@pytest.mark.parametrize(
    "told",
    [
        'File "/opt/samband/app/chassis/http.py", line 7',
        'relation "auth.challenges" does not exist',
        "select id from challenges",
        "asyncpg.exceptions.UndefinedTableError",
        "Python/3.13 uvicorn/0.54",
    ],
)
def test_what_tells_of_the_inside_would_be_found(told: str) -> None:
    assert inside_of(httpx2.Response(500, text=told))
    assert inside_of(httpx2.Response(200, headers={"server": told}))
    assert not inside_of(httpx2.Response(500, text="Something went wrong here. It has been noted."))


def test_every_service_with_routes_of_its_own_is_looked_at() -> None:
    assert set(SETTINGS) == set(NAMES)


class Given(BaseModel):
    """What a broken app asks for."""

    number: int


def broken() -> FastAPI:
    app = FastAPI()

    @app.post("/halves")
    async def halve(given: Given) -> dict[str, float]:
        return {"half": 1 / given.number}

    @app.get("/names")
    async def name() -> Response:
        return PlainTextResponse("nobody", status_code=418)

    return app


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [("POST", "/halves", {"number": 0}, "Server error"), ("GET", "/names", None, "Undocumented status code")],
)
async def test_an_app_that_fails_or_answers_something_else_would_be_found(
    method: str, path: str, body: Any, said: str
) -> None:
    app = broken()
    operation = schemathesis.openapi.from_dict(app.openapi())[path][method]
    case = operation.Case(body=body, media_type="application/json") if body else operation.Case()
    answer = await served(app).answer(case)
    with pytest.raises(FailureGroup, match=said):
        case.validate_response(answer, checks=CHECKS)
