"""The mailbox's page and interface, over real HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import httpx2
import pytest

from deploy.local.mailbox import Mailbox
from tests.deploy.sending import KARI, OLA, mail, send


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox(http_port=0) as mailbox:
        yield mailbox


@pytest.fixture
async def browser(mailbox: Mailbox) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=mailbox.page, trust_env=False) as browser:
        yield browser


async def test_an_empty_mailbox_says_so(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/")

    assert page.status_code == 200
    assert "No mail yet" in page.text


async def test_mails_are_listed_newest_first(mailbox: Mailbox, browser: httpx2.AsyncClient) -> None:
    await send(mailbox, mail("Eldst"))
    await send(mailbox, mail("Nyest <b>"))

    page = (await browser.get("/")).text

    assert page.index("Nyest &lt;b&gt;") < page.index("Eldst")


async def test_a_mail_is_shown_with_its_html_locked_in(mailbox: Mailbox, browser: httpx2.AsyncClient) -> None:
    await send(mailbox, mail())

    page = await browser.get("/mails/1")

    assert '<iframe sandbox title="The mail&#39;s HTML part"' in page.text.replace("mail's", "mail&#39;s")
    assert "&lt;b&gt;123456&lt;/b&gt;" in page.text
    assert "<b>123456</b>" not in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]


async def test_a_mail_that_is_gone_is_not_found(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/mails/1")).status_code == 404


async def test_programs_filter_by_recipient_and_number(mailbox: Mailbox, browser: httpx2.AsyncClient) -> None:
    await send(mailbox, mail("one"))
    await send(mailbox, mail("two", to=OLA))
    await send(mailbox, mail("three"))

    everything = (await browser.get("/api/mails")).json()
    ours = (await browser.get("/api/mails", params={"to": KARI.upper(), "after": 1})).json()

    assert [each["number"] for each in everything] == [3, 2, 1]
    assert [each["subject"] for each in ours] == ["three"]
    assert set(ours[0]) == {
        "number", "message_id", "from", "to", "subject", "text", "html", "received_at", "size",
    }  # fmt: skip
    assert ours[0]["from"] == "post@samband.example"
    assert ours[0]["to"] == [KARI]


async def test_mails_can_be_forgotten(mailbox: Mailbox, browser: httpx2.AsyncClient) -> None:
    await send(mailbox, mail())

    assert (await browser.delete("/api/mails")).status_code == 204
    assert (await browser.get("/api/mails")).json() == []


async def test_as_a_program_it_says_where_it_is_and_ends_when_told() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.local.mailbox", stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    page = (await program.stdout.readline()).decode().split()[-1]
    async with httpx2.AsyncClient(trust_env=False) as browser:
        assert (await browser.get(page)).status_code == 200

    program.terminate()

    assert await program.wait() == 128 + 15
