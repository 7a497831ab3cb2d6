"""Own sessions: seen, ended one by one or all but this, and told to every service as they end (sec-A10)."""

from uuid import UUID, uuid4

import pytest

from tests.auth.sessions.test_sessions import voided
from tests.auth.standing import let_act
from tests.auth.world import Browser, Owner, World, age

KARI, OLA = "kari@example.no", "ola@example.no"

pytestmark = pytest.mark.goal("sec-A10")


async def ids(browser: Browser) -> list[str]:
    return [each["session_id"] for each in (await browser.send("GET", "/v1/sessions")).json()["items"]]


async def own(browser: Browser) -> str:
    found = (await browser.send("GET", "/v1/sessions")).json()["items"]
    return next(str(each["session_id"]) for each in found if each["current"])


async def test_own_sessions_are_listed_the_one_used_last_first(world: World, owner: Owner) -> None:
    await world.add(KARI)
    await world.add(OLA)
    there, here = await world.logged_in(KARI), await world.logged_in(KARI)
    await world.logged_in(OLA)
    found = (await here.send("GET", "/v1/sessions")).json()["items"]
    assert [(each["current"], each["method"], each["assurance"]) for each in found] == [
        (True, "code", "low"),
        (False, "code", "low"),
    ]
    assert {each["session_id"] for each in found} == {await own(here), await own(there)}
    assert found[0]["started_at"] <= found[0]["seen_at"] < found[0]["ends_at"]


async def test_a_session_that_is_over_is_not_listed(world: World, owner: Owner) -> None:
    await world.add(KARI)
    idle, out, here = [await world.logged_in(KARI) for _ in range(3)]
    await out.send("DELETE", "/v1/session")
    resting = await own(idle)
    await owner.execute("update auth.sessions set seen_at = now() - interval '30 minutes' where id = $1", UUID(resting))
    assert await ids(here) == [await own(here)]
    await age(owner, "sessions", hours=8)
    assert (await here.send("GET", "/v1/sessions")).status_code == 401


async def test_a_session_is_ended_from_another_and_its_tokens_are_void(world: World, owner: Owner) -> None:
    await world.add(KARI)
    there, here = await world.logged_in(KARI), await world.logged_in(KARI)
    gone = await own(there)
    answers = [await here.send("DELETE", f"/v1/sessions/{gone}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 404]
    assert [(await browser.session()).status_code for browser in (there, here)] == [401, 200]
    assert await voided(owner) == [(UUID(gone), None)]


async def test_one_s_own_session_can_be_ended_so_and_its_cookie_goes(world: World) -> None:
    await world.add(KARI)
    browser = await world.logged_in(KARI)
    assert (await browser.send("DELETE", f"/v1/sessions/{await own(browser)}")).status_code == 204
    assert "__Host-session" not in browser.cookies


async def test_another_s_session_and_one_that_never_was_are_answered_alike(world: World, owner: Owner) -> None:
    await world.add(KARI)
    await world.add(OLA)
    kari, ola = await world.logged_in(KARI), await world.logged_in(OLA)
    answers = [await kari.send("DELETE", f"/v1/sessions/{gone}") for gone in (await own(ola), uuid4())]
    told = [answer.json() | {"instance": ""} for answer in answers]
    assert told[0] == told[1]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert (await ola.session()).status_code == 200
    assert await voided(owner) == []


async def test_all_other_sessions_end_at_once(world: World, owner: Owner) -> None:
    world = world.limited(codes_per_quarter=10)
    await world.add(KARI)
    await world.add(OLA)
    others = [await world.logged_in(KARI) for _ in range(3)]
    here, ola = await world.logged_in(KARI), await world.logged_in(OLA)
    gone = {UUID(await own(each)) for each in others}
    assert (await here.send("DELETE", "/v1/sessions")).status_code == 204
    assert [(await each.session()).status_code for each in (*others, here, ola)] == [401, 401, 401, 200, 200]
    assert {session_id for session_id, _ in await voided(owner)} == gone


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/session"),
        ("PUT", "/v1/session/organisation"),
        ("GET", "/v1/sessions"),
        ("DELETE", "/v1/sessions"),
        ("DELETE", f"/v1/sessions/{UUID(int=1)}"),
        ("POST", "/v1/access-tokens"),
        ("POST", "/v1/refresh-tokens"),
    ],
)
async def test_whoever_is_not_logged_in_does_nothing_here(world: World, method: str, path: str) -> None:
    body = {"organisation_id": str(uuid4())} if method == "PUT" else {"audience": "auth"}
    answer = await world.browser().send(method, path, **({"json": body} if method in {"PUT", "POST"} else {}))
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:samband:auth:not-logged-in")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.rule("U28")
async def test_whoever_may_act_for_one_organisation_acts_for_it_at_once(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    only = await let_act(owner, account.id, "cases.reporter", "unionfees.company-user")
    shown = (await (await world.logged_in(KARI)).session()).json()
    assert (shown["organisation_id"], shown["organisation"]) == (str(only), "Bedriften AS")
    assert shown["groups"] == ["cases.reporter", "unionfees.company-user"]


@pytest.mark.rule("U28")
@pytest.mark.rule("U30")
async def test_the_organisation_is_switched_among_one_s_own(world: World, owner: Owner) -> None:
    account = await world.add(KARI)
    first = await let_act(owner, account.id, "cases.reporter", name="Industri Eksempel")
    second = await let_act(owner, account.id, "cases.payroll", name="Hjelp Eksempel")
    browser = await world.logged_in(KARI)
    assert (await browser.session()).json()["organisation_id"] is None
    for organisation, group in ((first, "cases.reporter"), (second, "cases.payroll")):
        answer = await browser.send("PUT", "/v1/session/organisation", json={"organisation_id": str(organisation)})
        shown = (await browser.session()).json()
        assert (answer.status_code, answer.json()) == (200, shown)
        assert (shown["organisation_id"], shown["groups"]) == (str(organisation), [group])


@pytest.mark.rule("U29")
async def test_another_s_organisation_and_one_that_is_not_there_are_answered_alike(world: World, owner: Owner) -> None:
    kari, ola = await world.add(KARI), await world.add(OLA)
    await let_act(owner, kari.id, "cases.reporter")
    another = await let_act(owner, ola.id, "cases.reporter", name="En annen")
    closed = await let_act(owner, kari.id, "cases.reporter", name="Nedlagt")
    without_rights = await let_act(owner, kari.id, name="Uten tilgang")
    await owner.execute("update auth.organisations set active = false where id = $1", closed)
    browser = await world.logged_in(KARI)
    before = (await browser.session()).json()
    answers = [
        await browser.send("PUT", "/v1/session/organisation", json={"organisation_id": str(each)})
        for each in (another, closed, without_rights, uuid4())
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({str(answer.json() | {"instance": ""}) for answer in answers}) == 1
    assert (await browser.session()).json() == before


async def test_an_organisation_that_one_may_not_act_for_any_more_is_acted_for_no_more(
    world: World, owner: Owner
) -> None:
    account = await world.add(KARI)
    await let_act(owner, account.id, "cases.reporter")
    browser = await world.logged_in(KARI)
    await owner.execute("delete from auth.grants")
    shown = (await browser.session()).json()
    assert (shown["organisation_id"], shown["organisation"], shown["groups"]) == (None, None, [])
