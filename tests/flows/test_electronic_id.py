"""A person with an electronic ID, over real HTTP to the provider, Kafka and SMTP: linked once, then straight through."""

from urllib.parse import urlsplit

import httpx2
import pytest

from deploy.local.journey import Observer, Person, code_in
from deploy.local.mailbox import Mailbox
from deploy.local.platform import Platform
from deploy.local.provider.people import PEOPLE
from deploy.local.provider.visit import visit
from tests.flows.conftest import Crowd

pytestmark = pytest.mark.timeout(120)

LOG_INS = "/v1/identity-providers/id-porten/log-ins"


async def go_there_and_back(person: Person, who: int) -> httpx2.Response:
    """Log in at the provider, and follow it back."""
    begun = await person.send("POST", LOG_INS, {"return_to": "/hjem"})
    assert begun.status_code == httpx2.codes.CREATED, begun.text
    async with httpx2.AsyncClient() as browser:
        back = urlsplit(await visit(browser, begun.json()["redirect_url"], person=who, acr="substantial"))
    return await person.send("GET", f"{back.path}?{back.query}")


@pytest.mark.rule("I4", "I6", "I9", "I12")
async def test_a_new_person_links_the_work_e_mail_once_and_is_then_let_in_from_anywhere(
    samband: Platform, mailbox: Mailbox, crowd: Crowd, observer: Observer
) -> None:
    await samband.start_provider()
    person, private_pc = [await crowd.browser("kari@eksempelkommune.example") for _ in range(2)]
    first = await go_there_and_back(person, 0)
    assert (first.status_code, first.headers["location"]) == (303, "/v1/identity-links"), first.text
    assert "ID-porten" in (await person.send("GET", "/v1/identity-links")).json()["question"]
    asked = (await person.send("POST", "/v1/identity-links", {"address": person.address})).json()
    (mail,) = await mailbox.wait_for(1, to=person.address, within=40)
    body = {"challenge_id": asked["challenge_id"], "code": code_in(mail)}
    linked = await person.send("POST", "/v1/identity-links/redemptions", body)
    assert linked.status_code == httpx2.codes.CREATED, linked.text
    page = (await person.send("GET", "/v1/account")).json()
    assert [box["title"] for box in page["electronic_ids"]] == ["ID-porten"]
    later = await go_there_and_back(private_pc, 0)
    assert (later.status_code, later.headers["location"]) == (303, "/hjem"), later.text
    standing = (await private_pc.who_am_i()).json()
    assert (standing["account_id"], standing["assurance"]) == (linked.json()["account_id"], "substantial")
    await observer.wait_for("LinkCodeRequested", 1)
    told = b"".join(record.raw for record in observer.seen)
    assert not [who.number for who in PEOPLE if who.number.encode() in told]
    assert person.address.encode() not in told
