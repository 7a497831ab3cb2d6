"""The mailbox: takes mails over real SMTP, and misbehaves for the recipients that the script names."""

from __future__ import annotations

import asyncio

import aiosmtplib
import pytest

from deploy.local.errors import SetupError
from deploy.local.mailbox import Mailbox
from deploy.local.replies import Reply, answer, drop, hang
from tests.deploy.sending import KARI, OLA, mail, send


def only_for(recipient: str, reply: Reply) -> Mailbox:
    return Mailbox(script=lambda address: reply if address == recipient else None)


async def test_a_mail_arrives_whole() -> None:
    async with Mailbox() as mailbox:
        await send(mailbox, mail("Hei på deg, Åse"))

        (caught,) = await mailbox.wait_for(1, to=KARI)

    assert caught.number == 1
    assert caught.subject == "Hei på deg, Åse"
    assert caught.message_id == "<1@samband.example>"
    assert caught.to == (KARI,)
    assert caught.sender == "post@samband.example"
    assert caught.text.splitlines() == ["Koden er 123456. Hilsen Bjørg"]
    assert caught.html.strip() == "<p>Koden er <b>123456</b>.</p>"


async def test_whoever_waits_wakes_when_the_mail_comes() -> None:
    async with Mailbox() as mailbox:
        waiting = asyncio.create_task(mailbox.wait_for(2, to=KARI))
        await send(mailbox, mail("first"))
        await send(mailbox, mail("for Ola", to=OLA))
        await send(mailbox, mail("second"))

        assert [each.subject for each in await waiting] == ["second", "first"]


async def test_waiting_in_vain_says_what_came() -> None:
    async with Mailbox() as mailbox:
        await send(mailbox, mail())

        with pytest.raises(TimeoutError, match=f"1 of 2 mails to {KARI} came within 0.01 s"):
            await mailbox.wait_for(2, to=KARI, within=0.01)


async def test_the_oldest_are_forgotten_and_numbers_go_on() -> None:
    async with Mailbox(keep=2) as mailbox:
        for subject in ("one", "two", "three"):
            await send(mailbox, mail(subject))

        assert [(each.number, each.subject) for each in mailbox.mails.listed()] == [(3, "three"), (2, "two")]
        assert [each.number for each in mailbox.mails.listed(after=2)] == [3]


@pytest.mark.parametrize("code", [421, 450, 550])
async def test_a_recipient_is_refused_as_the_script_says(code: int) -> None:
    async with only_for(KARI, answer(code)) as mailbox:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await send(mailbox, mail())
        await send(mailbox, mail(to=OLA))

        assert [each.code for each in refused.value.recipients] == [code]
        assert [each.to for each in mailbox.mails.listed()] == [(OLA,)]


async def test_421_closes_the_connection() -> None:
    async with only_for(KARI, answer(421)) as mailbox:
        client = aiosmtplib.SMTP(hostname=mailbox.smtp_host, port=mailbox.smtp_port)
        await client.connect()
        await client.ehlo()
        await client.mail("post@samband.example")
        with pytest.raises(aiosmtplib.SMTPRecipientRefused):
            await client.rcpt(KARI)
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await client.noop()


@pytest.mark.parametrize("code", [421, 450, 550])
async def test_a_mail_is_refused_after_its_content(code: int) -> None:
    async with only_for(KARI, answer(code, at="data")) as mailbox:
        with pytest.raises(aiosmtplib.SMTPDataError) as refused:
            await send(mailbox, mail())

        assert refused.value.code == code
        assert mailbox.mails.listed() == []


@pytest.mark.parametrize("at", ["rcpt", "data"])
async def test_a_server_that_hangs_is_left_by_the_client(at: str) -> None:
    async with only_for(KARI, hang(at="rcpt" if at == "rcpt" else "data")) as mailbox:
        with pytest.raises(aiosmtplib.SMTPTimeoutError):
            await send(mailbox, mail(), within=0.2)

        assert mailbox.mails.listed() == []


async def test_a_mailbox_ends_although_a_client_still_hangs() -> None:
    async with only_for(KARI, hang()) as mailbox:
        sending = asyncio.create_task(send(mailbox, mail()))
        await mailbox.tries.wait_for(1, to=KARI)

    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await sending


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_connection_dropped_after_the_dot_leaves_the_client_in_doubt(*, keeps: bool) -> None:
    async with only_for(KARI, drop(keeps=keeps)) as mailbox:
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await send(mailbox, mail())

        assert len(mailbox.mails.listed()) == keeps


async def test_a_script_may_relent() -> None:
    replies = iter([answer(450), answer(450), None])
    async with Mailbox(script=lambda _: next(replies)) as mailbox:
        for _ in range(2):
            with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
                await send(mailbox, mail())
        await send(mailbox, mail())

        await mailbox.tries.wait_for(3, to=KARI)
        assert len(await mailbox.wait_for(1)) == 1


async def test_a_port_that_is_taken_is_named() -> None:
    async with Mailbox() as mailbox:
        with pytest.raises(SetupError, match=f"cannot listen on 127.0.0.1:{mailbox.smtp_port}"):
            async with Mailbox(smtp_port=mailbox.smtp_port):
                pass


async def test_a_broken_mail_is_kept_all_the_same() -> None:
    async with Mailbox() as mailbox:
        async with aiosmtplib.SMTP(hostname=mailbox.smtp_host, port=mailbox.smtp_port) as client:
            for raw in (b"Content-Type: text/plain; charset=no-such-charset\r\n\r\nhei", b"\xff\xfe not a mail at all"):
                await client.sendmail("post@samband.example", [KARI], raw)

        newest, oldest = await mailbox.wait_for(2)

    assert oldest.text.strip() == "hei"
    assert newest.size > 0
