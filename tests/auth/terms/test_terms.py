"""Terms: read in the version in force, accepted once with a tick, and before anything else of their service."""

from typing import Any

import httpx2
import pytest

from chassis.texts import Language
from services.auth.terms.errors import PublishedTextChanged, UnionUnnamed, UnreadableTerms
from tests.auth.standing import COMPANY_USER, NAME, let_act, publish
from tests.auth.world import UNION, Browser, Owner, World

KARI = "kari@example.no"
PATH = f"/v1/terms/{NAME}"


async def person(world: World, owner: Owner) -> Browser:
    """Give the browser of somebody who is logged in and may use the union's portal."""
    account = await world.add(KARI)
    await let_act(owner, account.id, COMPANY_USER)
    return await world.logged_in(KARI)


async def accept(browser: Browser, version: str, **changes: Any) -> httpx2.Response:
    body = {"version": version, "accepted": True} | changes
    return await browser.send("POST", f"{PATH}/acceptances", json=body)


async def listed(browser: Browser) -> dict[str, Any]:
    (item,) = (await browser.send("GET", "/v1/terms")).json()["items"]
    return dict(item)


async def token(browser: Browser) -> httpx2.Response:
    return await browser.send("POST", "/v1/access-tokens", json={"audience": "unionfees"})


@pytest.mark.rule("U11")
@pytest.mark.rule("U12")
@pytest.mark.rule("U15")
async def test_the_declaration_is_the_union_s_own_text_with_its_name(world: World, owner: Owner) -> None:
    await publish(world, "1")
    answer = await (await person(world, owner)).send("GET", PATH)
    shown = answer.json()
    paragraphs = shown["text"].split("\n\n")
    assert (shown["version"], shown["language"], answer.headers["content-language"]) == ("1", "nb", "nb")
    assert paragraphs[0] == "Taushetserklæring"
    assert paragraphs[1].startswith(
        f"Som mottaker av epost og brev fra {UNION} som omhandler informasjon om våre medlemmer, tillitsvalgte og "
        "medlemsbedrifter, kan du få tilgang til sensitive opplysninger om disse."
    )
    assert paragraphs[2].startswith("Jeg vil også vise aktsomhet i omtale av andre forhold")
    assert "straffelovens kapittel 21 samt markedsføringslovens § 28 og § 29" in paragraphs[3]
    assert (
        paragraphs[4]
        == "Jeg er også klar over at denne taushetserklæringen gjelder etter opphør av ansettelsesforholdet."
    )
    assert shown["text"].count("https://lovdata.no/dokument/NL/lov/") == 3
    assert shown["consent"] == "Jeg har gjort meg kjent med, og aksepterer taushetserklæringen."


@pytest.mark.rule("U10")
@pytest.mark.rule("U13")
async def test_nothing_of_the_service_is_reachable_before_they_are_accepted(world: World, owner: Owner) -> None:
    await publish(world, "1")
    browser = await person(world, owner)
    refused = await token(browser)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:samband:auth:terms-pending"
    assert NAME in refused.json()["detail"] and "/v1/terms" in refused.json()["detail"]
    assert (await browser.session()).json()["pending_terms"] == [NAME]
    assert (await listed(browser))["pending"]
    assert (await accept(browser, "1")).status_code == 200
    assert (await token(browser)).status_code == 201
    assert (await browser.session()).json()["pending_terms"] == []
    assert not (await listed(browser))["pending"]


@pytest.mark.rule("U13")
async def test_a_service_whose_terms_have_no_text_yet_is_closed(world: World, owner: Owner) -> None:
    browser = await person(world, owner)
    assert (await token(browser)).status_code == 403
    assert await listed(browser) == {
        "name": NAME, "version": None, "pending": True, "accepted_version": None, "accepted_at": None
    }  # fmt: skip
    assert [(await browser.send("GET", PATH)).status_code, (await accept(browser, "1")).status_code] == [404, 409]


@pytest.mark.rule("U12")
@pytest.mark.rule("U13")
@pytest.mark.parametrize("body", [{"version": "1"}, {"version": "1", "accepted": False}])
async def test_ok_without_the_tick_does_nothing_and_says_so(world: World, owner: Owner, body: dict[str, Any]) -> None:
    await publish(world, "1")
    browser = await person(world, owner)
    answer = await browser.send("POST", f"{PATH}/acceptances", json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:samband:auth:not-ticked")
    assert "Nothing is accepted yet" in answer.json()["title"]
    assert await owner.fetchval("select count(*) from auth.terms_acceptances") == 0
    assert (await token(browser)).status_code == 403


@pytest.mark.rule("U14")
async def test_who_accepted_which_version_when_is_kept_once(world: World, owner: Owner) -> None:
    await publish(world, "1")
    browser = await person(world, owner)
    first, again = (await accept(browser, "1")).json(), (await accept(browser, "1")).json()
    (row,) = await owner.fetch("select account_id, name, version, accepted_at from auth.terms_acceptances")
    assert first == again
    assert (str(row["account_id"]), row["name"], row["version"]) == (
        (await browser.session()).json()["account_id"],
        NAME,
        "1",
    )
    shown = await listed(browser)
    assert (shown["accepted_version"], shown["accepted_at"]) == ("1", first["accepted_at"])


@pytest.mark.rule("U14")
@pytest.mark.parametrize("asks_again", [False, True])
async def test_only_a_version_that_asks_again_is_asked_for(world: World, owner: Owner, *, asks_again: bool) -> None:
    await publish(world, "1")
    browser = await person(world, owner)
    await accept(browser, "1")
    await publish(world, "2", file="Ny tekst.\n[ ] Ja.", asks_again=asks_again)
    assert (await token(browser)).status_code == (403 if asks_again else 201)
    shown = await listed(browser)
    assert (shown["version"], shown["pending"]) == ("2", asks_again)
    await publish(world, "3", file="Nyere tekst.\n[ ] Ja.")
    assert (await token(browser)).status_code == (403 if asks_again else 201)
    assert (await accept(browser, "3")).status_code == 200
    assert (await token(browser)).status_code == 201


async def test_another_version_than_the_one_in_force_is_not_accepted(world: World, owner: Owner) -> None:
    await publish(world, "1")
    browser = await person(world, owner)
    await publish(world, "2", file="Ny tekst.\n[ ] Ja.")
    for version in ("1", "3"):
        answer = await accept(browser, version)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:samband:auth:terms-changed")
    assert await owner.fetchval("select count(*) from auth.terms_acceptances") == 0


async def test_terms_that_nobody_knows_are_missing(world: World, owner: Owner) -> None:
    browser = await person(world, owner)
    read = await browser.send("GET", "/v1/terms/unionfees.nothing")
    answered = await browser.send(
        "POST", "/v1/terms/unionfees.nothing/acceptances", json={"version": "1", "accepted": True}
    )
    assert [read.status_code, answered.status_code] == [404, 404]


async def test_who_is_not_logged_in_sees_and_accepts_nothing(world: World) -> None:
    await publish(world, "1")
    browser = world.browser()
    answers = [await browser.send("GET", "/v1/terms"), await browser.send("GET", PATH), await accept(browser, "1")]
    assert [answer.status_code for answer in answers] == [401] * 3


async def test_terms_of_services_in_which_one_has_no_rights_are_not_listed(world: World, owner: Owner) -> None:
    await publish(world, "1")
    account = await world.add(KARI)
    await let_act(owner, account.id, "cases.reporter")
    browser = await world.logged_in(KARI)
    assert (await browser.send("GET", "/v1/terms")).json() == {"items": []}
    assert (await browser.session()).json()["pending_terms"] == []


async def test_a_text_is_read_in_one_s_language_where_there_is_one(world: World, owner: Owner) -> None:
    await publish(world, "1")
    await publish(world, "1", language=Language.EN, file="Text of {union}.\n[ ] Yes.")
    browser = await person(world, owner)
    found = [
        (await browser.send("GET", PATH, headers={"Accept-Language": wanted})).json()["language"]
        for wanted in ("en", "nn", "nb", "de")
    ]
    assert found == ["en", "nb", "nb", "nb"]


async def test_a_published_text_never_changes(world: World, owner: Owner) -> None:
    assert await publish(world, "1")
    assert not await publish(world, "1")
    with pytest.raises(PublishedTextChanged):
        await publish(world, "1", file="Another.\n[ ] Yes.")
    with pytest.raises(PublishedTextChanged):
        await publish(world, "1", asks_again=True)
    assert await owner.fetchval("select count(*) from auth.terms_texts") == 1


@pytest.mark.parametrize(
    "file", ["", "Text.", "Text.\nYes.", "Text.\n[ ] ", "[ ] Yes.", "\n\n[ ] Yes.", "T\0.\n[ ] Yes."]
)
async def test_a_file_that_is_no_text_is_refused(world: World, owner: Owner, file: str) -> None:
    with pytest.raises(UnreadableTerms):
        await publish(world, "1", file=file)
    assert await owner.fetchval("select count(*) from auth.terms_versions") == 0


async def test_a_union_without_a_name_is_not_spoken_of(world: World) -> None:
    with pytest.raises(UnionUnnamed):
        await publish(world, "1", union=None)
