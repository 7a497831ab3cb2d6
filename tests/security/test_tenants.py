"""Two organisations side by side: nobody sees or changes another's people, and "another's" looks as "missing" (sec-P10)."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from chassis import scope
from services.auth.access_orders import access_orders
from services.auth.access_orders import api as orders_api
from services.auth.organisations.store import Organisation
from services.auth.people.addresses import Address
from services.auth.users import api, imports_store
from tests.auth.conftest import auth_database, auth_settings, world
from tests.auth.town import COMPANY_USER, PAYROLL, SUPERUSER, SUPPORT, UNION, Acting, Town
from tests.auth.world import Owner, World

__all__ = ["auth_database", "auth_settings", "world"]

pytestmark = pytest.mark.goal("sec-P10")

Body = dict[str, Any]
Route = tuple[str, str]
MANAGES: dict[Route, Body] = {
    ("GET", "/users"): {},
    ("GET", "/users/{user_id}"): {},
    ("POST", "/users"): {"json": {"address": "new@example.no"}},
    ("PATCH", "/users/{user_id}"): {"json": {"language": "nn"}},
    ("DELETE", "/users/{user_id}"): {},
    ("PUT", "/users/{user_id}/groups/{group}"): {},
    ("DELETE", "/users/{user_id}/groups/{group}"): {},
    ("GET", "/import-duplicates"): {},
    ("POST", "/import-duplicates/{duplicate_id}/resolutions"): {"json": {"address": "new@example.no"}},
    ("DELETE", "/import-duplicates/{duplicate_id}"): {},
    ("GET", "/access-orders"): {},
    ("POST", "/access-orders/{order_id}/decisions"): {"json": {"granted": True}},
}
"""What superusers do, each in the own organisation."""
UNIONS: dict[Route, Body] = {
    ("GET", "/organisations/{organisation_id}/company-users"): {},
    ("POST", "/organisations/{organisation_id}/company-users"): {"json": {"address": "new@example.no"}},
    ("PUT", "/organisations/{organisation_id}/company-users/{account_id}"): {},
    ("DELETE", "/organisations/{organisation_id}/company-users/{account_id}"): {},
    ("GET", "/union/access-orders"): {},
    ("POST", "/union/access-orders/{order_id}/decisions"): {"json": {"granted": True}},
}
SUPPORTS: dict[Route, Body] = {("GET", "/organisations/{organisation_id}/users"): {}}
ANYBODYS: dict[Route, Body] = {
    ("GET", "/me"): {},
    ("GET", "/rights-groups"): {},
    ("GET", "/organisations"): {"params": {"text": "Eksempel"}},
}
"""What everybody who has signed in does."""
OPEN: frozenset[Route] = frozenset({("POST", "/access-orders")})


class Tenants:
    """Two organisations with the same things in each, and whoever serves both."""

    def __init__(self, town: Town, ours: Organisation, theirs: Organisation) -> None:
        self.town, self.ours, self.theirs = town, ours, theirs
        self.ids: dict[str, UUID] = {}
        self.callers: dict[str, Acting] = {}

    def path(self, path: str, ids: dict[str, UUID]) -> str:
        return path.format(**ids, group=PAYROLL)

    async def rows(self, owner: Owner) -> list[list[Any]]:
        """Give all that the other organisation has."""
        return [await owner.fetch(sql, self.theirs.id) for sql in OF_AN_ORGANISATION]


OF_AN_ORGANISATION = (
    "select * from auth.accounts where organisation_id = $1 order by id",
    "select * from auth.memberships where organisation_id = $1 order by id",
    "select * from auth.grants where organisation_id = $1 order by membership_id, group_name",
    "select * from auth.import_duplicates where organisation_id = $1 order by id",
    "select * from auth.access_orders where organisation_id = $1 order by id",
)


async def furnish(town: Town, organisation: Organisation, name: str) -> dict[str, UUID]:
    """Give an organisation a superuser, a user with rights, a duplicate and an order for access."""
    boss = await town.user(organisation, f"boss@{name}.example.no", SUPERUSER)
    user = await town.user(organisation, f"user@{name}.example.no", PAYROLL)
    async with town.conn() as conn:
        duplicate = await imports_store.keep_duplicate(
            conn,
            organisation.id,
            "address_taken",
            user_name=None,
            user_name_key=None,
            address=Address(f"user@{name}.example.no"),
            full_name=None,
            language="nb",
            active=True,
            groups=(),
        )
    order = {"address": f"new@{name}.example.no", "full_name": name, "groups": [PAYROLL]}
    await town.acting(uuid4(), None).send(
        "POST", "/access-orders", json={**order, "organisation_id": str(organisation.id)}
    )
    async with town.conn() as conn:
        assert await access_orders.tell_next(conn)
        order_id: UUID = await conn.fetchval("select id from access_orders where organisation_id = $1", organisation.id)
    return {"boss": boss, "user_id": user, "account_id": user, "duplicate_id": duplicate, "order_id": order_id,
            "organisation_id": organisation.id}  # fmt: skip


@pytest.fixture
async def tenants(world: World) -> Tenants:
    town = Town(world)
    made = Tenants(town, await town.organisation("Eksempel Vest AS"), await town.organisation("Eksempel Øst AS"))
    centre = await town.organisation("Kundesenteret", "operator")
    own = await furnish(town, made.ours, "ours")
    made.ids = await furnish(town, made.theirs, "theirs")
    made.callers = {
        "superuser": town.acting(own["boss"], made.ours),
        "user": town.acting(own["user_id"], made.ours),
        "stranger to the organisation": town.acting(own["boss"], made.theirs),
        "support": town.acting(await town.user(centre, "support@example.no", SUPPORT), centre),
        "union": town.acting(await town.user(centre, "union@example.no", UNION), centre),
    }
    return made


def routes(world: World) -> Iterator[Route]:
    front = Town(world).front()
    for context in iter_route_contexts([*api.router(front).routes, *orders_api.router(front).routes]):
        assert isinstance(context.original_route, APIRoute)
        path = str(context.path).removeprefix("/v1")
        yield from ((method, path) for method in context.original_route.methods or ())


async def test_every_route_is_in_one_of_the_tables(world: World) -> None:
    assert set(routes(world)) == {*MANAGES, *UNIONS, *SUPPORTS, *ANYBODYS, *OPEN}


def said(answer: httpx2.Response) -> tuple[int, Any]:
    """Give what an answer says, but for the id of its request."""
    body = answer.json() if answer.content else None
    return answer.status_code, {**body, "instance": None} if isinstance(body, dict) else body


@pytest.mark.parametrize("route", [route for route in MANAGES if "{" in route[1]], ids=" ".join)
async def test_what_is_anothers_is_answered_as_what_is_missing_and_stays_as_it_is(
    tenants: Tenants, owner: Owner, route: Route
) -> None:
    method, path = route
    boss, before = tenants.callers["superuser"], await tenants.rows(owner)
    missing = {name: uuid4() for name in tenants.ids}
    answers = [
        await boss.send(method, tenants.path(path, ids), headers={"If-Match": "*"}, **MANAGES[route])
        for ids in (tenants.ids, missing)
    ]
    assert said(answers[0]) == said(answers[1])
    assert answers[0].status_code == 404
    assert await tenants.rows(owner) == before


@pytest.mark.rule("U30")
@pytest.mark.parametrize("route", [route for route in MANAGES if "{" not in route[1]], ids=" ".join)
async def test_a_list_shows_the_own_organisation_and_nothing_is_added_to_another(
    tenants: Tenants, owner: Owner, route: Route
) -> None:
    before = await tenants.rows(owner)
    answer = await tenants.callers["superuser"].send(*route, **MANAGES[route])
    assert answer.status_code in {200, 201}
    assert "theirs.example.no" not in answer.text
    assert ("ours.example.no" in answer.text) == (route[0] == "GET")
    assert await tenants.rows(owner) == before


@pytest.mark.rule("C1", "U29")
@pytest.mark.parametrize("route", [*MANAGES, *UNIONS, *SUPPORTS, *ANYBODYS], ids=" ".join)
async def test_nobody_gets_in_without_having_signed_in_and_nobody_does_what_they_have_no_right_to(
    tenants: Tenants, owner: Owner, route: Route
) -> None:
    method, path = route
    body = {**MANAGES, **UNIONS, **SUPPORTS, **ANYBODYS}[route]
    may = {"superuser", "user", "support", "union", "stranger to the organisation"}
    if route in MANAGES:
        may = {"superuser"} | ({"support"} if route[0] == "GET" and path.startswith("/users") else set())
    elif route in UNIONS:
        may = {"union"}
    elif route in SUPPORTS:
        may = {"support"}
    before = await tenants.rows(owner)
    where = f"/v1{tenants.path(path, tenants.ids)}"
    transport = httpx2.ASGITransport(tenants.town.app(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://auth.example.no") as client:
        anonymous = await client.request(method, where, headers={"If-Match": "*"}, **body)
    assert anonymous.status_code == 401
    for name, caller in tenants.callers.items():
        if name not in may:
            answer = await caller.send(method, tenants.path(path, tenants.ids), headers={"If-Match": "*"}, **body)
            assert answer.status_code == 403, name
    assert await tenants.rows(owner) == before


@pytest.mark.rule("U29", "U30")
async def test_the_union_lets_people_act_for_a_company_and_each_sees_the_companies_that_they_act_for(
    tenants: Tenants,
) -> None:
    union, path = tenants.callers["union"], f"/organisations/{tenants.theirs.id}/company-users"
    ours = tenants.callers["user"]
    for _ in range(2):
        assert (await union.send("PUT", f"{path}/{ours.account_id}")).status_code == 204
    new = await union.send("POST", path, json={"address": "new@example.no", "full_name": "Ny"})
    known = await union.send("POST", path, json={"address": "user@theirs.example.no"})
    assert [answer.status_code for answer in (new, known)] == [201, 201]
    listed = (await union.get(path, limit=2)).json()
    rest = (await union.get(path, cursor=listed["next_cursor"])).json()
    found = {each["account_id"] for each in (*listed["items"], *rest["items"])}
    assert found == {str(ours.account_id), new.json()["account_id"], known.json()["account_id"]}
    me = (await ours.get("/me")).json()
    assert [(each["name"], [group["name"] for group in each["groups"]]) for each in me["organisations"]] == [
        ("Eksempel Vest AS", [PAYROLL]),
        ("Eksempel Øst AS", [COMPANY_USER]),
    ]
    assert me["home"]["name"] == "Eksempel Vest AS"
    assert (await union.send("DELETE", f"{path}/{ours.account_id}")).status_code == 204
    assert len((await ours.get("/me")).json()["organisations"]) == 1
    own = await union.send("PUT", f"{path}/{union.account_id}")
    assert (own.status_code, own.json()["type"]) == (403, "urn:samband:auth:own-rights")


async def test_rights_are_listed_in_the_callers_language_and_organisations_by_name_or_number(tenants: Tenants) -> None:
    boss = tenants.callers["superuser"]
    listed = (await boss.send("GET", "/rights-groups", headers={"Accept-Language": "nn"})).json()["items"]
    grantable = {each["title"]: each["grantable"] for each in listed}
    assert grantable["Fagbrukar løn"] is True
    assert grantable["Brukar i trekklisteportalen"] is False
    assert "Brukarstøtte" not in grantable
    user = tenants.callers["user"]
    assert not any(each["grantable"] for each in (await user.get("/rights-groups")).json()["items"])
    first = (await user.get("/organisations", text="eksempel", limit=1)).json()
    second = (await user.get("/organisations", text="eksempel", cursor=first["next_cursor"])).json()
    assert [each["name"] for each in (*first["items"], *second["items"])] == ["Eksempel Vest AS", "Eksempel Øst AS"]
    assert (await user.get("/organisations", text="%")).status_code == 422
    assert (await user.get("/organisations", text="Kundesenteret")).json()["items"] == []


@pytest.mark.parametrize(
    "table", ["accounts", "memberships", "grants", "mail_troubles", "import_duplicates", "access_orders"]
)
async def test_postgres_itself_shows_an_organisation_its_own_rows_alone(
    tenants: Tenants, owner: Owner, table: str
) -> None:
    await owner.execute(
        "insert into auth.mail_troubles (account_id, organisation_id, mail_id, noted_at) "
        "select id, organisation_id, id, now() from auth.accounts"
    )
    async with tenants.town.conn(scope.organisation(tenants.ours.id)) as conn:
        rows = await conn.fetch(f"select organisation_id from {table}")  # noqa: S608 -- a name of the test's own.
    assert {row[0] for row in rows} == {tenants.ours.id}
    forced = await owner.fetchval(
        "select relforcerowsecurity from pg_class where oid = ('auth.' || $1)::regclass", table
    )
    assert forced
