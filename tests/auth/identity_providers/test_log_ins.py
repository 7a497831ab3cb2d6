"""Log-ins by a provider: an identity that is linked gets in from anywhere; nothing that a provider does wrong lets anybody in."""

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs

from deploy.local.provider.faults import Fault
from deploy.local.provider.people import PEOPLE
from services.auth.identity_providers import relying_party
from tests.auth.identity_providers.provider import CALLBACK, CLIENT, ISSUER, LINK_PAGE, NAME, PORTAL, Place, query_of
from tests.auth.world import Owner, World, age

KARI = "kari@example.no"


async def linked(place: Place, person: int = 0, address: str = KARI) -> str:
    """Link a person's identity to an account that is made for it; gives the account's id."""
    account = await place.world.add(address)
    async with place.world.database.transaction() as conn:
        await conn.execute(
            "insert into identities (id, account_id, provider, issuer, subject) values (uuidv7(), $1, $2, $3, $4)",
            account.id,
            NAME,
            ISSUER,
            PEOPLE[person].subject(CLIENT),
        )
    return str(account.id)


async def open_sessions(owner: Owner) -> int:
    return int(await owner.fetchval("select count(*) from auth.sessions where ended_at is null"))


@pytest.mark.rule("I3", "I12")
@pytest.mark.goal("sec-A13")
async def test_whose_identity_is_linked_is_logged_in_straight_through_from_any_browser(place: Place) -> None:
    account = await linked(place)
    for browser in (place.browser(), place.browser()):
        answer = await place.log_in(browser, return_to="/saker?side=2")
        assert (answer.status_code, answer.headers["location"]) == (303, "/saker?side=2"), answer.text
        session = (await browser.session()).json()
        assert (session["account_id"], session["method"], session["assurance"]) == (account, "provider", "high")


@pytest.mark.rule("I3")
async def test_the_log_in_page_is_told_which_electronic_ids_there_are(place: Place) -> None:
    answer = await place.browser().send("GET", "/v1/identity-providers")
    assert answer.json() == {"items": [{"name": NAME, "title": "ID-porten"}]}


@pytest.mark.parametrize(("acr", "assurance"), [("low", "low"), ("substantial", "substantial"), ("high", "high")])
async def test_the_session_is_as_sure_as_the_provider_says(place: Place, acr: str, assurance: str) -> None:
    await linked(place)
    browser = place.browser()
    await place.log_in(browser, acr=acr)
    assert (await browser.session()).json()["assurance"] == assurance


@pytest.mark.goal("sec-A13")
async def test_what_is_asked_is_pushed_with_pkce_nonce_and_a_redirect_of_our_own(place: Place) -> None:
    begun = await place.begin(place.browser(), assurance="high")
    asked = query_of(begun.json()["redirect_url"])
    assert asked.keys() == {"client_id", "request_uri"}
    request, _ = place.simulator.pushed[asked["request_uri"]]
    assert request["redirect_uri"] == CALLBACK
    assert (request["acr_values"], request["ui_locales"]) == ("high", "en")
    assert request["code_challenge_method"] == "S256"
    assert len({request["state"], request["nonce"], request["code_challenge"]}) == 3


@pytest.mark.goal("sec-A14")
async def test_the_database_holds_no_state_nonce_or_verifier(place: Place, owner: Owner) -> None:
    browser = place.browser()
    begun = await place.begin(browser)
    request, _ = place.simulator.pushed[query_of(begun.json()["redirect_url"])["request_uri"]]
    attempt = relying_party.Attempt(request["state"], browser.cookies["__Host-browser"], place.world.keys)
    row = str(dict(await owner.fetchrow("select * from auth.oidc_flows") or {}))
    for secret in (attempt.state, attempt.nonce, attempt.verifier):
        assert secret not in row
        assert secret.encode().hex() not in row


SINGLE = [fault for fault in Fault if fault is not Fault.LOWER_ACR]


def test_there_are_enough_of_them() -> None:
    assert len(SINGLE) >= 30


@pytest.mark.goal("sec-A13")
@pytest.mark.parametrize("fault", SINGLE)
async def test_a_single_fault_of_the_provider_gives_no_session_and_one_line(
    place: Place, owner: Owner, fault: Fault
) -> None:
    await linked(place)
    browser = place.browser()
    place.spoil(fault)
    with capture_logs() as lines:
        answer = await place.log_in(browser)
    assert answer.status_code in {403, 503}
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"__Host-session", "__Host-linking"}.isdisjoint(browser.cookies)
    noted = [line for line in lines if line["event"] == "provider_log_in_refused"]
    assert len(noted) == 1
    assert noted[0]["provider"] == NAME
    assert not {person.number for person in PEOPLE} & set(map(str, noted[0].values()))
    assert "<" not in str(noted[0])
    assert (await browser.session()).status_code == 401
    assert await open_sessions(owner) == 0
    assert await owner.fetchval("select count(*) from auth.identity_proofs") == 0
    place.spoil()
    assert (await place.log_in(browser)).status_code == 303


@pytest.mark.goal("sec-A13", "sec-A17")
@pytest.mark.parametrize(("acr", "right"), [("low", False), ("substantial", False), ("high", True)])
async def test_an_answer_that_is_less_sure_than_asked_is_none(place: Place, acr: str, right: bool) -> None:
    await linked(place)
    browser = place.browser()
    answer = await place.log_in(browser, acr=acr, assurance="high")
    assert answer.status_code == (303 if right else 403)
    assert right or answer.json()["type"] == "urn:samband:auth:assurance-not-reached"
    assert ("__Host-session" in browser.cookies) is right


@pytest.mark.goal("sec-A13")
async def test_a_way_back_is_good_once(place: Place, owner: Owner) -> None:
    await linked(place)
    browser = place.browser()
    back = await place.at_provider((await place.begin(browser)).json()["redirect_url"])
    answers = await asyncio.gather(*(place.come_back(browser, back) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [303, 403, 403, 403, 403]
    assert await open_sessions(owner) == 1
    assert (await place.come_back(browser, back)).json()["type"] == "urn:samband:auth:log-in-over"


@pytest.mark.goal("sec-A13", "sec-A16")
async def test_a_way_back_is_good_in_the_browser_that_began_alone(place: Place, owner: Owner) -> None:
    await linked(place)
    victim, thief = place.browser(), place.browser()
    await place.begin(victim)
    back = await place.at_provider((await place.begin(thief)).json()["redirect_url"])
    assert (await place.come_back(victim, back)).status_code == 403
    assert (await place.come_back(place.browser(), back)).status_code == 403
    assert await open_sessions(owner) == 0
    assert (await place.come_back(thief, back)).status_code == 303


async def test_a_way_back_is_good_for_ten_minutes(place: Place, owner: Owner) -> None:
    await linked(place)
    browser = place.browser()
    for minutes, status in ((9.9, 303), (10, 403)):
        back = await place.at_provider((await place.begin(browser)).json()["redirect_url"])
        await age(owner, "log-ins by a provider", minutes=minutes)
        assert (await place.come_back(browser, back)).status_code == status


@pytest.mark.goal("sec-A13")
async def test_a_code_of_another_log_in_is_refused_at_the_token_endpoint(place: Place, owner: Owner) -> None:
    """A code that somebody else was given is worth nothing with a state of one's own: PKCE."""
    await linked(place)
    thief, victim = place.browser(), place.browser()
    stolen = query_of(await place.at_provider((await place.begin(victim)).json()["redirect_url"]))
    own = query_of(await place.at_provider((await place.begin(thief)).json()["redirect_url"], person=1))
    mixed = f"{CALLBACK}?{urlencode({**own, 'code': stolen['code']})}"
    assert (await place.come_back(thief, mixed)).status_code == 403
    assert await open_sessions(owner) == 0


@pytest.mark.parametrize("query", ["", "code=a", "state=a", "state=a&code=b", "state=&code=", "error=access_denied"])
async def test_a_way_back_that_nobody_began_is_refused(place: Place, query: str) -> None:
    browser = place.browser()
    await place.begin(browser)
    answer = await browser.send("GET", f"/v1/identity-providers/{NAME}/callback?{query}")
    assert answer.json()["type"] == "urn:samband:auth:log-in-over"


async def test_who_cancels_is_told_so(place: Place) -> None:
    browser = place.browser()
    back = await place.at_provider((await place.begin(browser)).json()["redirect_url"], cancel=True)
    answer = await place.come_back(browser, back)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:samband:auth:log-in-cancelled")


@pytest.mark.rule("I21")
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("nn", "Du vart ikkje logga inn, fordi innlogginga med elektronisk ID vart avbroten."),
        ("nb", "Du ble ikke logget inn, fordi innloggingen med elektronisk ID ble avbrutt."),
        ("en", "You were not logged in, because the log-in with electronic ID was cancelled."),
    ],
)
async def test_a_browser_is_shown_a_page_in_the_persons_language(place: Place, language: str, said: str) -> None:
    browser = place.browser()
    back = await place.at_provider((await place.begin(browser)).json()["redirect_url"], cancel=True)
    answer = await place.come_back(browser, back, Accept="text/html,*/*;q=0.8", **{"Accept-Language": language})
    assert (answer.status_code, answer.headers["content-language"]) == (403, language)
    assert said in answer.text
    assert 'href="/log-in"' in answer.text
    assert "script" not in answer.text


@pytest.mark.goal("sec-A17")
async def test_a_key_that_was_changed_between_two_log_ins_and_in_the_middle_of_one_costs_nobody_anything(
    place: Place,
) -> None:
    await linked(place)
    browser = place.browser()
    assert (await place.log_in(browser)).status_code == 303
    for keep in (True, False):
        back = await place.at_provider((await place.begin(browser)).json()["redirect_url"])
        place.simulator.keys.rotate(keep=keep)
        assert (await place.come_back(browser, back)).status_code == 303


async def test_a_provider_that_is_away_leaves_sessions_alone(place: Place) -> None:
    await linked(place)
    browser = place.browser()
    await place.log_in(browser)
    place.spoil(Fault.DISCOVERY_DOWN, Fault.KEYS_DOWN, Fault.EXCHANGE_DOWN, Fault.PUSHED_DOWN)
    assert (await place.log_in(place.browser())).status_code == 503
    assert (await browser.session()).status_code == 200


@pytest.mark.goal("sec-A10")
async def test_a_log_in_ends_the_session_that_the_browser_had(place: Place) -> None:
    await linked(place)
    await place.world.add("ola@example.no")
    browser = await place.world.logged_in("ola@example.no")
    browser.app = place.world.app()
    before = browser.cookies["__Host-session"]
    assert (await place.log_in(browser)).status_code == 303
    assert browser.cookies["__Host-session"] != before
    browser.cookies["__Host-session"] = before
    assert (await browser.session()).status_code == 401


@pytest.mark.goal("sec-A8")
async def test_a_block_does_not_keep_an_electronic_id_out(place: Place) -> None:
    account = await linked(place)
    for stranger in place.world.browsers(6):
        await stranger.log_in(KARI, "feil feil feil feil")
    browser = place.browser()
    assert (await place.log_in(browser)).status_code == 303
    assert (await browser.session()).json()["account_id"] == account


async def test_an_account_that_is_closed_is_not_opened_by_an_electronic_id(place: Place, owner: Owner) -> None:
    await linked(place)
    await owner.execute("update auth.accounts set active = false")
    answer = await place.log_in(place.browser())
    assert answer.json()["type"] == "urn:samband:auth:account-closed"
    assert await open_sessions(owner) == 0


@pytest.mark.rule("I4")
@pytest.mark.goal("sec-A14")
async def test_an_identity_that_nobody_has_linked_gives_no_session_and_shows_no_number_at_rest(
    place: Place, owner: Owner
) -> None:
    browser = place.browser()
    answer = await place.log_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, LINK_PAGE)
    assert "__Host-session" not in browser.cookies
    assert await open_sessions(owner) == 0
    row = dict(await owner.fetchrow("select * from auth.identity_proofs") or {})
    assert PEOPLE[0].number not in str({name: value for name, value in row.items() if name != "subject"})
    assert browser.cookies["__Host-linking"] not in str(row)


@pytest.mark.goal("sec-A14")
async def test_an_identity_is_known_by_issuer_and_subject_together(place: Place, owner: Owner) -> None:
    await linked(place)
    await owner.execute("update auth.identities set issuer = 'https://other.example.no'")
    answer = await place.log_in(place.browser())
    assert answer.headers["location"] == LINK_PAGE


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example.no", "//evil.example.no", "/\\evil.example.no", "\\\\evil.example.no", "evil", "",
        "/a b", "/a\r\nSet-Cookie: a=b", "javascript:alert(1)", "/\t/evil.example.no", "/å",
    ],
)  # fmt: skip
@pytest.mark.goal("sec-A13")
async def test_nobody_is_sent_on_to_another_site(place: Place, path: str) -> None:
    assert (await place.begin(place.browser(), return_to=path)).status_code == 422


async def test_too_many_log_ins_from_one_network_are_refused(place: Place) -> None:
    limited = Place(
        place.world.limited(source_limit=2), place.simulator, place.site, place.desk, place.settings, place.requests
    )
    browser = limited.browser()
    assert [(await limited.begin(browser)).status_code for _ in range(3)] == [201, 201, 429]


async def test_an_unknown_provider_is_none(place: Place) -> None:
    for method, path in (("POST", "log-ins"), ("GET", "callback"), ("GET", "front-channel-logout?iss=a&sid=b")):
        answer = await place.browser().send(method, f"/v1/identity-providers/other/{path}", json={})
        assert answer.json()["type"] == "urn:samband:auth:no-such-provider"


async def test_without_a_provider_there_is_no_way_in_by_one(world: World) -> None:
    assert (await world.browser().send("GET", "/v1/identity-providers")).json() == {"items": []}


@pytest.mark.goal("sec-A17")
async def test_a_log_out_here_ends_the_session_there(place: Place) -> None:
    await linked(place)
    browser = place.browser()
    await place.log_in(browser)
    answer = await browser.send("POST", "/v1/log-outs", json={})
    url = answer.json()["redirect_url"]
    assert url.startswith(f"{ISSUER}/logout?")
    back_to, told = place.simulator.end(query_of(url))
    assert back_to == f"{PORTAL}/log-in"
    assert len(told) == 1
    assert "__Host-session" not in browser.cookies
    assert not place.simulator.sessions


@pytest.mark.goal("sec-A17", "sec-A10")
async def test_a_log_out_there_ends_the_session_here_in_every_service(place: Place) -> None:
    await linked(place)
    browser, other = place.browser(), place.browser()
    await place.log_in(browser)
    await place.log_in(other)
    first = next(iter(place.simulator.sessions))
    (address,) = place.simulator.end_session(first)
    answer = await place.come_back(place.browser(), address)  # It comes from a frame of another site: without cookies.
    assert answer.status_code == 200
    assert [(await each.session()).status_code for each in (browser, other)] == [401, 200]
    assert len(await place.world.told("auth.TokensVoided.v1")) == 1
    again = await place.come_back(place.browser(), address)
    assert again.status_code == 200
    assert len(await place.world.told("auth.TokensVoided.v1")) == 1


@pytest.mark.parametrize("change", [{"iss": "https://other.example.no"}, {"sid": "another"}])
async def test_a_log_out_of_another_issuer_or_session_ends_nothing(place: Place, change: dict[str, str]) -> None:
    await linked(place)
    browser = place.browser()
    await place.log_in(browser)
    said = {"iss": ISSUER, "sid": next(iter(place.simulator.sessions))} | change
    path = f"/v1/identity-providers/{NAME}/front-channel-logout?{urlencode(said)}"
    assert (await place.browser().send("GET", path)).status_code == 200
    assert (await browser.session()).status_code == 200


@pytest.mark.parametrize(
    ("client", "profile"),
    [
        ({}, {"algorithm": "RS256"}),
        ({}, {"pushed": False}),
        ({"key": None, "secret": "a secret that both know: + & %"}, {"authentication": "client_secret_post"}),
        ({"key": None, "secret": "a secret that both know: + & %"}, {"authentication": "client_secret_basic"}),
    ],
    ids=["RSA", "not pushed", "secret in the form", "secret in the header"],
)
async def test_a_provider_of_another_kind_is_put_in_by_its_file_alone(
    world: World, tmp_path: Path, client: dict[str, object], profile: dict[str, object]
) -> None:
    with_secret = {"key": ..., "secret": "secret.txt"} if client else {}
    place = Place.make(world, tmp_path / "providers", client=client, **profile, **with_secret)
    await linked(place)
    browser = place.browser()
    assert (await place.log_in(browser)).status_code == 303
    assert (await browser.session()).status_code == 200
