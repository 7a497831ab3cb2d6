"""Access: every route says who may call it, the caller has what it needs, and the request sees their rows alone."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.responses import PlainTextResponse

from chassis import access, http, scope, service, tokens, voids
from chassis.access import Assurance, Caller
from chassis.errors import Misconfigured
from chassis.handlers import Handlers
from chassis.postgres import Database
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from chassis.voids import Voids
from tests.chassis.http_app import client_of, logged
from tests.conftest import Clone
from tests.support.tickets import KEY, ORGANISATION, bearer, carried, claims, key_file, of_system, token

A_TEST = "a test asks"


def routes() -> APIRouter:
    """One route for each thing that can be needed; each answers with whose rows it sees."""
    made = APIRouter(prefix="/v1")

    def route(path: str, depends: Any) -> None:
        async def see() -> str:
            seen = scope.current()
            return seen.setting if seen else "nothing"

        made.add_api_route(path, see, name=path[1:], dependencies=[depends], response_class=PlainTextResponse)

    route("/mine", access.needs())
    route("/right", access.needs(right="things.read"))
    route("/surer", access.needs(assurance=Assurance.SUBSTANTIAL))
    route("/terms", access.needs(terms=["privacy", "handbook"]))
    route("/anywhere", access.needs(organisation=False))
    route("/staff", access.needs(right="things.read", sees=scope.STAFF))
    route("/people", access.needs(organisation=False, sees=scope.SYSTEM))
    route("/systems", access.needs(right="things.read", assurance=Assurance.HIGH, terms=["privacy"], systems=True))
    route("/open", access.anyone(A_TEST))
    route("/open-people", access.anyone(A_TEST, sees=scope.SYSTEM))

    @made.get("/caller")
    async def show_caller(caller: Annotated[Caller, access.needs()]) -> dict[str, Any]:
        return {"name": caller.name, "reads": caller.may("things.read"), "writes": caller.may("things.write")}

    return made


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    app = http.create_app(title="things", version="1", routers=[routes()], authenticator=bearer())
    async with client_of(app) as client:
        yield client


async def ask(client: httpx2.AsyncClient, path: str, said: tokens.Claims | None = None) -> httpx2.Response:
    headers = carried(tokens.sign(said, KEY)) if said else {}
    return await client.get(f"/v1{path}", headers=headers)


ALL_TERMS = {"privacy": "2", "handbook": "1"}


Said = Callable[[], tokens.Claims]
"""What a token says is made in the test: it is good for a minute only."""


def person(**changes: Any) -> Said:
    return partial(claims, **changes)


def shop(**changes: Any) -> Said:
    return partial(of_system, **changes)


@pytest.mark.parametrize(
    ("path", "said", "seen"),
    [
        ("/mine", person(rights=frozenset()), str(ORGANISATION)),
        ("/right", person(), str(ORGANISATION)),
        ("/surer", person(assurance=Assurance.SUBSTANTIAL), str(ORGANISATION)),
        ("/surer", person(assurance=Assurance.HIGH), str(ORGANISATION)),
        ("/terms", person(terms=ALL_TERMS), str(ORGANISATION)),
        ("/anywhere", person(organisation_id=None), "nothing"),
        ("/anywhere", person(), str(ORGANISATION)),
        ("/staff", person(), "staff"),
        ("/people", person(organisation_id=None), "system"),
        ("/systems", shop(), str(ORGANISATION)),
        ("/systems", person(assurance=Assurance.HIGH), str(ORGANISATION)),
        ("/open", None, "nothing"),
        ("/open", person(), "nothing"),
        ("/open-people", None, "system"),
    ],
)
async def test_who_has_what_is_needed_is_served_and_sees_their_rows(
    path: str, said: Said | None, seen: str, client: httpx2.AsyncClient
) -> None:
    answer = await ask(client, path, said and said())
    assert (answer.status_code, answer.text) == (200, seen)
    assert scope.current() is None


@pytest.mark.parametrize(
    ("path", "said", "status", "kind"),
    [
        ("/mine", None, 401, "not-signed-in"),
        ("/people", None, 401, "not-signed-in"),
        ("/right", person(rights=frozenset({"things.write"})), 403, "right-missing"),
        ("/staff", person(rights=frozenset()), 403, "right-missing"),
        ("/mine", person(organisation_id=None), 403, "no-organisation-chosen"),
        ("/right", person(organisation_id=None), 403, "no-organisation-chosen"),
        ("/surer", person(), 403, "assurance-too-low"),
        ("/systems", person(assurance=Assurance.SUBSTANTIAL), 403, "assurance-too-low"),
        ("/terms", person(), 403, "terms-not-accepted"),
        ("/mine", shop(), 403, "not-for-systems"),
        ("/anywhere", shop(), 403, "not-for-systems"),
        ("/systems", shop(rights=frozenset()), 403, "right-missing"),
        ("/systems", shop(organisation_id=None), 403, "no-organisation-chosen"),
    ],
)
async def test_who_lacks_something_is_told_what(
    path: str, said: Said | None, status: int, kind: str, client: httpx2.AsyncClient
) -> None:
    answer = await ask(client, path, said and said())
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:samband:problem:{kind}")


async def test_a_refusal_names_the_right_the_terms_and_the_level(client: httpx2.AsyncClient) -> None:
    client.headers["Accept-Language"] = "en"
    assert "things.read" in (await ask(client, "/right", claims(rights=frozenset()))).json()["detail"]
    assert "handbook, privacy." in (await ask(client, "/terms", claims(terms={}))).json()["detail"]
    surer = await ask(client, "/surer", claims())
    assert "substantial" in surer.json()["detail"]
    assert surer.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", acr_values="substantial"'
    )
    assert "www-authenticate" not in (await ask(client, "/right", claims(rights=frozenset()))).headers


async def test_the_caller_has_a_name_and_rights(client: httpx2.AsyncClient) -> None:
    said = claims()
    assert (await ask(client, "/caller", said)).json() == {
        "name": f"account:{said.subject}",
        "reads": True,
        "writes": False,
    }
    assert Caller(system="shop").name == "system:shop"


@pytest.mark.goal("sec-A10")
async def test_void_tokens_are_refused_also_those_that_were_verified_before() -> None:
    mirror = Voids()
    app = http.create_app(title="things", version="1", routers=[routes()], authenticator=bearer(mirror))
    ours, older, newer = claims(), claims(epoch=7), claims(epoch=8)
    newer = claims(epoch=8, subject=older.subject)
    async with client_of(app) as client:

        async def answers() -> list[int]:
            return [(await ask(client, "/mine", said)).status_code for said in (ours, older, newer)]

        before = await ask(client, "/mine", ours)
        assert (before.status_code, before.headers["retry-after"]) == (503, "1")
        mirror.update((), {})
        assert await answers() == [200, 200, 200]
        assert ours.session_id is not None
        mirror.update((ours.session_id,), {UUID(older.subject): 8})
        with logged() as lines:
            assert await answers() == [401, 401, 200]
        assert lines[0]["reason"] == "void"
        mirror.update((uuid4(),), {uuid4(): 2**62})
        assert await answers() == [200, 200, 200]
        system = await ask(client, "/systems", of_system())
        assert system.status_code == 200


def undeclared(router: APIRouter) -> APIRouter:
    @router.get("/declares-nothing")
    @router.post("/declares-nothing")
    async def nothing() -> None: ...

    return router


def nested() -> APIRouter:
    outer = APIRouter(prefix="/outer")
    outer.include_router(undeclared(APIRouter(prefix="/inner")))
    return outer


def twice() -> APIRouter:
    router = APIRouter(dependencies=[access.anyone(A_TEST)])

    @router.get("/declares-both")
    async def both(caller: Annotated[Caller, access.needs()]) -> None: ...

    return router


def socket() -> APIRouter:
    router = APIRouter(dependencies=[access.anyone(A_TEST)])

    @router.websocket("/socket")
    async def talk(websocket: WebSocket) -> None: ...

    return router


@pytest.mark.parametrize(
    ("router", "says"),
    [
        (undeclared(APIRouter(prefix="/v1")), r"GET /v1/declares-nothing declares neither.*POST /v1/declares-nothing"),
        (nested(), r"GET /outer/inner/declares-nothing declares neither"),
        (twice(), r"GET /declares-both declares more than one"),
        (socket(), r"/socket declares neither"),
    ],
)
def test_an_app_with_a_route_that_does_not_say_who_may_call_it_does_not_start(router: APIRouter, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        http.create_app(title="things", version="1", routers=[routes(), router], authenticator=bearer())


def test_a_need_below_another_dependency_counts() -> None:
    router = APIRouter()

    async def of_caller(caller: Annotated[Caller, access.needs()]) -> str:
        return caller.name

    @router.get("/indirect")
    async def indirect(name: Annotated[str, Depends(of_caller)]) -> str:
        return name

    assert access.declare([router])


def test_routes_that_need_a_caller_need_somebody_who_knows_them() -> None:
    with pytest.raises(Misconfigured, match="nothing that finds out who calls"):
        http.create_app(title="things", version="1", routers=[routes()])


def test_the_need_shows_in_the_document_of_the_service() -> None:
    app = http.create_app(title="things", version="1", routers=[routes()], authenticator=bearer())
    document = app.openapi()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    right = document["paths"]["/v1/right"]["get"]
    assert right["security"] == [{"bearer": []}]
    assert right["x-needs"] == {
        "right": "things.read",
        "assurance": "low",
        "terms": [],
        "organisation": True,
        "systems": False,
        "sees": "organisation",
    }
    assert {"401", "403"} <= right["responses"].keys()
    assert "application/problem+json" in right["responses"]["403"]["content"]
    opened = document["paths"]["/v1/open"]["get"]
    assert opened["x-needs"] == {"anyone": A_TEST}
    assert "security" not in opened
    assert "401" not in opened["responses"]
    assert document["paths"]["/v1/staff"]["get"]["x-needs"]["sees"] == "staff"


def hearing() -> Handlers:
    handlers = Handlers()
    voids.hear(handlers)
    return handlers


def runtime_of(clone: Clone, database: Database, **settings: Any) -> Runtime[ServiceSettings]:
    keys = clone.cluster.keys
    told = ServiceSettings(
        database_url=clone.urls("things").app,
        public_keys=keys / "public",
        private_keys=keys / "private" / "things.json",
        **settings,
    )
    return Runtime(told, database)


def things(handlers: Handlers, **choices: Any) -> Service[ServiceSettings]:
    return Service("things", ServiceSettings, Path(__file__).parent, handlers=handlers, **choices)


async def test_a_service_that_needs_callers_must_be_told_whose_tokens_are_good_and_hear_which_are_void(
    clone: Clone, database: Database, tmp_path: Path
) -> None:
    needing: Sequence[APIRouter] = [routes()]
    told = runtime_of(clone, database, token_keys=key_file(tmp_path), token_issuer="https://auth.example.no")
    for runtime in (runtime_of(clone, database), runtime_of(clone, database, token_keys=key_file(tmp_path))):
        with pytest.raises(Misconfigured, match="SAMBAND_TOKEN_KEYS and SAMBAND_TOKEN_ISSUER must be set"):
            service.authenticator_of(things(hearing()), runtime, needing)
    with pytest.raises(Misconfigured, match=r"must call voids\.hear"):
        service.authenticator_of(things(Handlers()), told, needing)
    assert service.authenticator_of(things(Handlers()), runtime_of(clone, database), []) is None
    made = service.authenticator_of(things(hearing()), told, needing)
    told.voids.update((), {})
    app = http.create_app(title="things", version="1", routers=needing, authenticator=made)
    async with client_of(app) as client:
        assert (await client.get("/v1/right", headers=carried(token()))).status_code == httpx2.codes.OK


async def test_a_service_may_know_its_callers_in_a_way_of_its_own(clone: Clone, database: Database) -> None:
    async def always(_: object) -> Caller:
        return Caller(account_id=UUID(int=7), organisation_id=ORGANISATION)

    made = service.authenticator_of(
        things(Handlers(), authenticator=lambda _: always), runtime_of(clone, database), [routes()]
    )
    app: FastAPI = http.create_app(title="things", version="1", routers=[routes()], authenticator=made)
    async with client_of(app) as client:
        assert (await client.get("/v1/caller")).json()["name"] == f"account:{UUID(int=7)}"
