"""Links: the work e-mail and the electronic ID become one by a code, whoever had the address; and are parted again."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from deploy.local.provider.people import PEOPLE
from services.auth.identities import identities
from services.auth.organisations import organisations
from tests.auth.identity_providers.provider import LINK_PAGE, NAME, Place
from tests.auth.world import PASSWORD, WRONG, Browser, Owner, age

KARI = "kari@eksempelkommune.example"
TYPE = "auth.LinkCodeRequested.v1"


async def asked(place: Place, browser: Browser, address: str = KARI) -> tuple[dict[str, Any], str]:
    """Ask for the code that links, and read it in its mail; empty where none came."""
    answer = await browser.send("POST", "/v1/identity-links", json={"address": address})
    assert answer.status_code == 202, answer.text
    challenge = dict(answer.json())
    await place.world.issue_all()
    mails = [mail for mail in await place.world.told(TYPE) if mail["challenge_id"] == challenge["challenge_id"]]
    return challenge, mails[0]["code"] if mails else ""


async def redeem(browser: Browser, challenge: dict[str, Any], code: str) -> httpx2.Response:
    body = {"challenge_id": challenge["challenge_id"], "code": code}
    return await browser.send("POST", "/v1/identity-links/redemptions", json=body)


async def proven(place: Place, person: int = 0) -> Browser:
    """Give a browser that has logged in with an electronic ID that is linked to nobody."""
    browser = place.browser()
    answer = await place.log_in(browser, person)
    assert answer.headers["location"] == LINK_PAGE, answer.text
    return browser


async def linked(place: Place, person: int = 0, address: str = KARI) -> Browser:
    browser = await proven(place, person)
    answer = await redeem(browser, *await asked(place, browser, address))
    assert answer.status_code == 201, answer.text
    return browser


async def page_of(browser: Browser) -> dict[str, Any]:
    return dict((await browser.send("GET", "/v1/account")).json())


@pytest.mark.rule("I4", "I5", "I10", "I21")
async def test_whoever_logs_in_for_the_first_time_is_asked_for_the_work_e_mail(place: Place) -> None:
    browser = await proven(place)
    shown = (await browser.send("GET", "/v1/identity-links", headers={"Accept-Language": "nb"})).json()
    assert shown["question"] == (
        "Oppgi e-postadressen til en eksisterende konto eller en for å opprette en ny konto som vil bli knyttet til "
        "ID-porten kontoen din. Vi sender en sikkerhetskode til denne e-postadressen for bekrefteelse."
    )
    assert (shown["placeholder"], shown["button"]) == ("angi e-postadresse", "Send e-post")
    nynorsk = (await browser.send("GET", "/v1/identity-links", headers={"Accept-Language": "nn"})).json()
    assert "Høyr med leiaren din." in nynorsk["advice"]


@pytest.mark.rule("I6", "I9", "I12")
async def test_the_code_links_the_account_that_has_the_address_and_later_log_ins_go_straight_through(
    place: Place,
) -> None:
    account = await place.world.add(KARI)
    browser = await linked(place)
    session = (await browser.session()).json()
    assert (session["account_id"], session["method"], session["assurance"]) == (str(account.id), "provider", "high")
    assert "__Host-linking" not in browser.cookies
    private_pc = place.browser()
    assert (await place.log_in(private_pc)).headers["location"] == "/"
    assert (await private_pc.session()).json()["account_id"] == str(account.id)


@pytest.mark.rule("I9", "I8", "I7")
@pytest.mark.parametrize("ours", [True, False])
async def test_an_address_that_nobody_has_makes_an_account_at_home_only_where_its_domain_is_known_and_without_rights(
    place: Place, owner: Owner, ours: bool
) -> None:
    async with place.world.database.transaction() as conn:
        home = await organisations.register(conn, uuid4(), "Eksempelkommune", None)
    if ours:
        await owner.execute("insert into auth.organisation_domains values ('eksempelkommune.example', $1)", home.id)
    browser = await linked(place)
    row = await owner.fetchrow("select organisation_id, language from auth.accounts where address = $1", KARI)
    assert row is not None
    assert (row["organisation_id"], row["language"]) == (home.id if ours else None, "en")
    standing = (await browser.session()).json()
    assert (standing["groups"], standing["organisation_id"]) == ([], None)
    assert len(await place.world.told("auth.AccountChanged.v1")) == 1


@pytest.mark.goal("sec-A9")
async def test_the_answer_is_alike_for_an_address_that_somebody_has_and_one_that_nobody_has(place: Place) -> None:
    await place.world.add(KARI)
    browser = await proven(place)
    answers = [
        (await browser.send("POST", "/v1/identity-links", json={"address": address})).json()
        for address in (KARI, "other@eksempelkommune.example")
    ]
    assert answers[0].keys() == answers[1].keys()
    await place.world.issue_all()
    mails = await place.world.told(TYPE)
    assert len(mails) == 2
    assert mails[0].keys() == mails[1].keys()


async def test_a_wrong_code_links_nothing(place: Place, owner: Owner) -> None:
    browser = await proven(place)
    challenge, _ = await asked(place, browser)
    answer = await redeem(browser, challenge, WRONG)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:samband:auth:wrong-code")
    assert await owner.fetchval("select count(*) from auth.identities") == 0
    assert "__Host-session" not in browser.cookies


async def test_a_code_links_once_whoever_sends_it_at_the_same_time(place: Place, owner: Owner) -> None:
    browser = await proven(place)
    challenge, code = await asked(place, browser)
    copies = [Browser(browser.app, browser.source, dict(browser.cookies)) for _ in range(4)]
    answers = await asyncio.gather(*(redeem(each, challenge, code) for each in copies))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 403, 404}  # Whoever comes late finds the code used, or no proof any more.
    assert await owner.fetchval("select count(*) from auth.accounts") == 1
    assert await owner.fetchval("select count(*) from auth.sessions") == 1


@pytest.mark.goal("sec-A15")
async def test_the_proof_of_one_identity_never_links_another(place: Place, owner: Owner) -> None:
    browser = await proven(place, person=0)
    challenge, code = await asked(place, browser)
    await place.log_in(browser, person=1)
    assert (await redeem(browser, challenge, code)).status_code == 403
    assert await owner.fetchval("select count(*) from auth.identities") == 0


@pytest.mark.goal("sec-A15")
async def test_a_code_for_something_else_links_nothing_and_one_that_links_logs_nobody_in(place: Place) -> None:
    await place.world.add(KARI)
    browser = await proven(place)
    login, mail = await place.world.asked(KARI, browser)
    assert (await redeem(browser, login, mail.code)).status_code == 403
    challenge, code = await asked(place, browser)
    assert (await browser.redeem(challenge, code)).status_code == 403


@pytest.mark.goal("sec-A15")
async def test_a_code_is_worth_nothing_without_the_identity_that_it_links(place: Place) -> None:
    browser = await proven(place)
    challenge, code = await asked(place, browser)
    stolen = browser.cookies.pop("__Host-linking")
    assert (await redeem(browser, challenge, code)).json()["type"] == "urn:samband:auth:nothing-to-link"
    thief = place.browser()
    thief.cookies["__Host-linking"] = stolen
    assert (await redeem(thief, challenge, code)).status_code == 403


async def test_a_proof_is_good_for_fifteen_minutes(place: Place, owner: Owner) -> None:
    browser = await proven(place)
    await age(owner, "proofs", minutes=15)
    assert (await browser.send("GET", "/v1/identity-links")).status_code == 404
    assert (await browser.send("POST", "/v1/identity-links", json={"address": KARI})).status_code == 404


@pytest.mark.goal("sec-A15")
async def test_whoever_was_in_the_account_before_the_link_is_out(place: Place) -> None:
    """The unexpired session: who prepared an account for somebody else keeps nothing when its person comes."""
    await place.world.add(KARI)
    before = await place.world.logged_in(KARI)
    browser = await linked(place)
    assert (await before.session()).status_code == 401
    assert (await browser.session()).status_code == 200


@pytest.mark.goal("sec-A15")
async def test_an_account_is_never_found_by_what_a_provider_says_of_an_address(place: Place, owner: Owner) -> None:
    """The federated merge: an address from a provider is not even read."""
    await place.world.add(KARI)
    claims = place.simulator.keys.id_token

    def with_address(said: dict[str, Any], faults: set[Any]) -> str:
        return claims({**said, "email": KARI, "email_verified": True}, faults)

    place.simulator.keys.id_token = with_address  # type: ignore[method-assign, assignment]  # This test's own.
    await proven(place)
    assert await owner.fetchval("select count(*) from auth.sessions") == 0


@pytest.mark.goal("sec-A15")
async def test_an_identity_that_waits_for_a_code_hangs_on_nothing_when_the_address_gets_its_account(
    place: Place, owner: Owner
) -> None:
    """The trojan identifier: who names somebody else's address leaves nothing behind in the account that is made for it."""
    thief = await proven(place, person=1)
    challenge, code = await asked(place, thief)
    await place.world.add(KARI)
    kari = await place.world.logged_in(KARI)
    kari.app = place.world.app()
    assert (await page_of(kari))["electronic_ids"] == []
    assert (await redeem(thief, challenge, WRONG if code != WRONG else "111111")).status_code == 403
    assert (await place.log_in(place.browser(), person=1)).headers["location"] == LINK_PAGE
    assert await owner.fetchval("select count(*) from auth.identities") == 0


@pytest.mark.rule("I20")
async def test_a_person_is_linked_to_one_account_at_a_time_whichever_provider_tells_of_them(
    place: Place, owner: Owner
) -> None:
    await linked(place)
    await owner.execute("update auth.identities set issuer = 'https://other.example.no'")
    browser = await proven(place)
    answer = await redeem(browser, *await asked(place, browser, "kari.privat@example.no"))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:samband:auth:identity-taken")
    same = await proven(place)
    assert (await redeem(same, *await asked(place, same))).status_code == 201


@pytest.mark.goal("sec-A14")
async def test_the_number_is_encrypted_at_rest_and_opens_for_its_own_row(place: Place, owner: Owner) -> None:
    await linked(place)
    row = await owner.fetchrow("select id, number_closed from auth.identities")
    assert row is not None
    assert place.desk.vault is not None
    assert PEOPLE[0].number not in row["number_closed"]
    number = identities.number_of(place.desk.vault, UUID(str(row["id"])), row["number_closed"])
    assert number == PEOPLE[0].number


@pytest.mark.rule("I18", "I19")
async def test_the_account_page_shows_the_person_and_the_box_of_the_electronic_id(place: Place) -> None:
    browser = await linked(place)
    page = (await browser.send("GET", "/v1/account", headers={"Accept-Language": "nb"})).json()
    assert (page["email"], page["country"], page["language"], page["mobile"]) == (KARI, "NO", "en", None)
    (box,) = page["electronic_ids"]
    assert (box["provider"], box["title"]) == (NAME, "ID-porten")
    assert box["text"].startswith("ID-porten er koblet til kontoen din.")
    assert box["activated_at"].endswith("Z")
    assert (await browser.send("PUT", "/v1/account/mobile", json={"mobile": "400 00 003"})).status_code == 204
    assert (await page_of(browser))["mobile"] == "+4740000003"
    assert (await browser.send("PUT", "/v1/account/mobile", json={"mobile": "nei"})).status_code == 422


@pytest.mark.rule("I13", "I14", "I15", "I16", "I17", "I20")
async def test_a_wrong_address_is_unlinked_with_the_password_and_the_question_returns(place: Place) -> None:
    account = await place.world.add_with_password("privat@example.no")
    browser = await linked(place, address="privat@example.no")
    other = place.browser()
    await place.log_in(other)
    (box,) = (await page_of(browser))["electronic_ids"]
    path = f"/v1/identity-links/{box['id']}"
    assert (await browser.send("DELETE", path, json={})).json()["type"] == "urn:samband:auth:password-needed"
    assert (await browser.send("DELETE", path, json={"password": "feil feil feil feil"})).status_code == 403
    assert (await browser.send("DELETE", path, json={"password": PASSWORD})).status_code == 204
    assert (await page_of(browser))["electronic_ids"] == []
    assert (await other.session()).status_code == 401
    assert (await browser.send("DELETE", path, json={"password": PASSWORD})).status_code == 404
    await browser.send("DELETE", "/v1/session")
    again = await linked(place)
    assert (await again.session()).json()["account_id"] != str(account.id)


@pytest.mark.rule("I14")
async def test_without_a_password_a_mailed_code_removes_the_link(place: Place) -> None:
    browser = await linked(place)
    (box,) = (await page_of(browser))["electronic_ids"]
    path = f"/v1/identity-links/{box['id']}"
    assert (await browser.send("DELETE", path, json={"password": PASSWORD})).json()["type"].endswith("code-needed")
    challenge = (await browser.send("POST", "/v1/identity-links/removal-codes")).json()
    await place.world.issue_all()
    code = (await place.world.mail_of(challenge)).code
    body = {"challenge_id": challenge["challenge_id"], "code": code}
    assert (await browser.send("DELETE", path, json={**body, "code": WRONG})).status_code == 403
    assert (await browser.send("DELETE", path, json=body)).status_code == 204
    assert (await place.log_in(place.browser())).headers["location"] == LINK_PAGE


@pytest.mark.goal("sec-A15")
async def test_nobody_unlinks_anothers_identity(place: Place) -> None:
    browser = await linked(place)
    (box,) = (await page_of(browser))["electronic_ids"]
    await place.world.add_with_password("ola@example.no")
    ola = place.browser()
    assert (await ola.log_in("ola@example.no")).status_code == 201
    answer = await ola.send("DELETE", f"/v1/identity-links/{box['id']}", json={"password": PASSWORD})
    assert answer.json()["type"] == "urn:samband:auth:no-such-link"
    assert len((await page_of(browser))["electronic_ids"]) == 1


async def test_an_account_that_is_closed_is_not_linked(place: Place, owner: Owner) -> None:
    await place.world.add(KARI)
    browser = await proven(place)
    challenge, code = await asked(place, browser)
    await owner.execute("update auth.accounts set active = false")
    assert (await redeem(browser, challenge, code)).status_code == 403
    assert (await asked(place, browser))[1] == ""


async def test_one_address_gets_three_codes_in_fifteen_minutes_whoever_has_it(place: Place) -> None:
    browser = await proven(place)
    assert [bool((await asked(place, browser))[1]) for _ in range(4)] == [True, True, True, False]


async def test_an_erased_account_takes_its_identities_along(place: Place, owner: Owner) -> None:
    await linked(place)
    await owner.execute("delete from auth.accounts")
    assert await owner.fetchval("select count(*) from auth.identities") == 0
    assert await owner.fetchval("select count(*) from auth.national_numbers") == 0
