"""A first and a forgotten password over the whole way: HTTP, Postgres, Kafka and SMTP, as a person meets it."""

import re

import httpx2
import pytest

from deploy.local.journey import code_in
from deploy.local.mailbox import Mailbox
from tests.flows.conftest import Crowd

pytestmark = pytest.mark.timeout(180)

FIRST, SECOND = "fire blåbær under ei bru", "sju trapper opp til loftet"
LINK = re.compile(r"https://portal\.eksempelforbundet\.example/new-password#(\S+)")


@pytest.mark.rule("U2", "U3", "U5", "U7", "L5", "L6")
async def test_a_person_activates_an_account_forgets_the_password_and_chooses_another(
    mailbox: Mailbox, crowd: Crowd
) -> None:
    (person,) = await crowd.add(1)
    asked = await person.send("POST", "/v1/activations", {"address": person.address})
    (code,) = await mailbox.wait_for(1, to=person.address, within=40)
    body = {"code": code_in(code), "new_password": FIRST, "confirmation": FIRST}
    path = f"/v1/activations/{asked.json()['challenge_id']}/password"
    assert (await person.send("POST", path, body)).status_code == httpx2.codes.CREATED
    notice, _ = await mailbox.wait_for(2, to=person.address, within=40)
    assert notice.subject == "Passordet ditt er endret"

    elsewhere = await crowd.browser(person.address)
    first = {"login": person.address, "password": FIRST}
    assert (await elsewhere.send("POST", "/v1/sessions/by-password", first)).status_code == httpx2.codes.CREATED
    await person.send("POST", "/v1/password-instructions", {"user_name": person.address})
    instructions, *_ = await mailbox.wait_for(3, to=person.address, within=40)
    (token,) = LINK.findall(instructions.text)
    assert FIRST not in instructions.text
    body = {"token": token, "new_password": SECOND, "confirmation": SECOND}
    redeemed = await elsewhere.send("POST", "/v1/password-instructions/redemptions", body)
    assert redeemed.status_code == httpx2.codes.NO_CONTENT
    assert (await person.who_am_i()).status_code == httpx2.codes.UNAUTHORIZED
    assert (await person.send("POST", "/v1/sessions/by-password", first)).status_code == httpx2.codes.FORBIDDEN
    second = {"login": person.address, "password": SECOND}
    assert (await person.send("POST", "/v1/sessions/by-password", second)).status_code == httpx2.codes.CREATED


@pytest.mark.rule("L7", "L8")
async def test_whoever_is_blocked_hears_of_it_by_mail(mailbox: Mailbox, crowd: Crowd) -> None:
    (person,) = await crowd.add(1)
    for _ in range(5):
        stranger = await crowd.browser(person.address)
        wrong = {"login": person.address, "password": FIRST}
        assert (await stranger.send("POST", "/v1/sessions/by-password", wrong)).status_code == httpx2.codes.FORBIDDEN
    (mail,) = await mailbox.wait_for(1, to=person.address, within=40)
    assert mail.subject == "Kontoen din er midlertidig blokkert"
    assert re.search(r"om 1[45] minutter", mail.text)
