"""SMTP: every answer of a mail server means one thing for the mail, and no answer is waited for longer than was set."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from deploy.local.replies import Reply, answer, drop, hang
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import Answer, Mailer, Verdict
from tests.notifications.post import OverheardMailbox
from tests.notifications.writers import KARI
from tests.support.waiting import until

SENDER = "ikkesvar@example.no"
TEXT = b"Subject: Hei\r\nMessage-ID: <1@mail.example.no>\r\n\r\nHei.\r\n"


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def send(mailer: Mailer, to: str = KARI) -> Answer:
    return await mailer.hand_over(SENDER, to, TEXT, yes)


@pytest.fixture
async def impatient_mailer(impatient: NotificationsSettings) -> AsyncIterator[Mailer]:
    mailer = Mailer(impatient)
    yield mailer
    await mailer.close()


@pytest.mark.parametrize(
    ("reply", "meant"),
    [
        (None, Answer(Verdict.TAKEN, 250)),
        (answer(450), Answer(Verdict.LATER, 450)),
        (answer(550), Answer(Verdict.NEVER, 550)),
        (answer(421), Answer(Verdict.OUTAGE, 421)),
        (drop(keeps=False, at="rcpt"), Answer(Verdict.OUTAGE)),
        (answer(451, at="data"), Answer(Verdict.LATER, 451)),
        (answer(554, at="data"), Answer(Verdict.NEVER, 554)),
        (answer(421, at="data"), Answer(Verdict.OUTAGE, 421)),
        (drop(keeps=False), Answer(Verdict.LATER)),
        (drop(keeps=True), Answer(Verdict.LATER)),
    ],
)
async def test_each_answer_means_one_thing_and_the_next_mail_goes(
    mailer: Mailer, mailbox: OverheardMailbox, reply: Reply | None, meant: Answer
) -> None:
    mailbox.script = lambda recipient: reply if recipient == KARI else None
    assert await send(mailer) == meant
    assert await send(mailer, "ola@example.no") == Answer(Verdict.TAKEN, 250)
    assert len(await mailbox.wait_for(1, to="ola@example.no")) == 1


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [(hang(at="rcpt"), Verdict.OUTAGE), (hang(at="data"), Verdict.LATER)],
    ids=["rcpt", "data"],
)
async def test_a_server_that_falls_silent_is_left_when_the_time_is_over(
    impatient_mailer: Mailer, mailbox: OverheardMailbox, reply: Reply, verdict: Verdict
) -> None:
    mailbox.script = lambda _: reply
    started = time.monotonic()
    assert (await send(impatient_mailer)).verdict is verdict
    assert 0.9 < time.monotonic() - started < 3.0
    assert mailbox.tries.of(KARI) == 1


async def test_a_server_that_never_greets_is_left_when_the_time_is_over(impatient: NotificationsSettings) -> None:
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        mailer = Mailer(impatient.model_copy(update={"smtp_port": port}))
        assert await send(mailer) == Answer(Verdict.OUTAGE)
        await asyncio.wait_for(left.wait(), 5)


async def test_nothing_is_said_to_a_server_without_tls_when_tls_is_demanded(
    settings: NotificationsSettings, mailbox: OverheardMailbox
) -> None:
    mailer = Mailer(settings.model_copy(update={"smtp_starttls": True}))
    assert (await send(mailer)).verdict is Verdict.OUTAGE
    assert mailbox.times("EHLO") == 1
    assert mailbox.times("MAIL") == 0


async def test_a_mail_that_is_no_longer_wanted_is_withdrawn_before_its_text(
    mailer: Mailer, mailbox: OverheardMailbox
) -> None:
    assert await mailer.hand_over(SENDER, KARI, TEXT, no) == Answer(Verdict.WITHDRAWN)
    assert (mailbox.times("RCPT"), mailbox.times("DATA")) == (1, 0)
    assert await send(mailer, "ola@example.no") == Answer(Verdict.TAKEN, 250)
    assert [mail.to for mail in mailbox.mails.listed()] == [("ola@example.no",)]


async def test_one_connection_serves_several_mails_also_after_a_refusal(
    mailer: Mailer, mailbox: OverheardMailbox
) -> None:
    mailbox.script = lambda recipient: answer(550) if recipient == KARI else None
    for recipient in ("ola@example.no", KARI, "ola@example.no"):
        await send(mailer, recipient)
    assert len(mailbox.mails.listed(to="ola@example.no")) == 2
    assert mailbox.times("EHLO") == 1


async def test_mails_at_the_same_time_have_a_connection_each(mailer: Mailer, mailbox: OverheardMailbox) -> None:
    answers = await asyncio.gather(*(send(mailer) for _ in range(3)))
    assert [each.verdict for each in answers] == [Verdict.TAKEN] * 3
    assert mailbox.times("EHLO") == 3


async def test_a_kept_connection_that_the_server_closed_is_replaced_and_no_mail_suffers(
    mailer: Mailer, mailbox: OverheardMailbox
) -> None:
    async def noticed() -> bool:
        return not any(connection.is_connected for connection in mailer._idle)

    await asyncio.gather(send(mailer), send(mailer))
    for connection in list(mailbox._connections):
        connection.abort()
    await until(noticed, what="the client to hear that its connections were closed")
    assert await send(mailer) == Answer(Verdict.TAKEN, 250)
    assert mailbox.times("EHLO") == 3


async def test_what_goes_wrong_while_asking_is_raised_and_leaves_no_connection(
    mailer: Mailer, mailbox: OverheardMailbox
) -> None:
    async def fails() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await mailer.hand_over(SENDER, KARI, TEXT, fails)
    await _all_are_closed(mailbox)
    assert mailbox.times("DATA") == 0


@pytest.mark.parametrize("reply", [hang(at="rcpt"), hang(at="data")], ids=["rcpt", "data"])
async def test_who_is_cancelled_leaves_no_connection(mailer: Mailer, mailbox: OverheardMailbox, reply: Reply) -> None:
    async def is_waiting() -> bool:
        return mailbox.heard.endswith(b"\r\n.\r\n") if reply.at == "data" else mailbox.tries.of(KARI) == 1

    mailbox.script = lambda _: reply
    sending = asyncio.create_task(send(mailer))
    await until(is_waiting, what="the client to wait for an answer")
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await _all_are_closed(mailbox)


async def test_closing_says_good_bye_on_every_connection(mailer: Mailer, mailbox: OverheardMailbox) -> None:
    await asyncio.gather(send(mailer), send(mailer))
    await mailer.close()
    assert mailbox.times("QUIT") == mailbox.times("EHLO") == 2
    await _all_are_closed(mailbox)
    assert await send(mailer) == Answer(Verdict.TAKEN, 250)


async def _all_are_closed(mailbox: OverheardMailbox) -> None:
    async with asyncio.timeout(2):
        for connection in list(mailbox._connections):
            await connection.ended()
