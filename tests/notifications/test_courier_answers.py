"""The courier and the answers of the mail server: what is tried again, when, and under which Message-ID."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from chassis.postgres import Database
from deploy.local.ports import free_port
from deploy.local.replies import Reply, answer, drop, hang
from services.notifications.courier import Courier
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import Mailer
from tests.notifications.post import RENDERER, OverheardMailbox, Rows, drain
from tests.notifications.writers import KARI, Auth, account, code
from tests.support.waiting import until

OLA = "ola@example.no"


@pytest.fixture
async def ola(auth: Auth) -> UUID:
    account_id = uuid4()
    await auth.tell(account(account_id, OLA))
    return account_id


@pytest.fixture
async def impatient_courier(notifications: Database, impatient: NotificationsSettings) -> AsyncIterator[Courier]:
    mailer = Mailer(impatient)
    yield Courier(notifications, mailer, RENDERER, impatient)
    await mailer.close()


@pytest.mark.goal("rel-R14")
@pytest.mark.parametrize("reply", [answer(450), answer(451, at="data")], ids=["rcpt", "data"])
async def test_a_4xx_postpones_the_mail_ever_longer_and_then_it_goes(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows, reply: Reply
) -> None:
    mailbox.script = lambda _: reply
    await auth.tell(code(kari))
    for attempt, (least, most) in enumerate([(2.5, 5), (5, 10), (10, 20)], start=1):
        assert await courier.tick() == 1
        mail = await rows.mail()
        assert (mail["attempts"], mail["smtp_code"] // 100, mail["claim"]) == (attempt, 4, None)
        assert least - 2 < await rows.pause() <= most
        assert await courier.tick() == 0
        await rows.make_due()
    mailbox.script = None
    await drain(courier)
    message_id = f"<{(await rows.mail())['id']}@mail.example.no>"
    assert [caught.message_id for caught in mailbox.mails.listed()] == [message_id]
    assert await kinds(rows) == ["MailDelivered"]


async def test_a_5xx_bounces_the_mail_once_and_for_all(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    mailbox.script = lambda _: answer(551)
    await auth.tell(code(kari))
    await drain(courier)
    await rows.make_due()
    await drain(courier)
    assert mailbox.tries.of(KARI) == 1
    mail = await rows.mail()
    assert (mail["outcome"], mail["smtp_code"], mail["sealed_code"]) == ("bounced", 551, None)
    ((kind, event),) = await rows.events()
    assert (kind, event["smtp_code"]) == ("notifications.MailBounced.v1", 551)


async def test_a_5xx_for_one_mail_holds_up_no_other(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, ola: UUID, rows: Rows
) -> None:
    mailbox.script = {KARI: answer(550)}.get
    for account_id in (kari, ola):
        await auth.tell(code(account_id))
    await drain(courier)
    assert [mail.to for mail in mailbox.mails.listed()] == [(OLA,)]
    assert await kinds(rows) == ["MailBounced", "MailDelivered"]


@pytest.mark.goal("rel-R14")
@pytest.mark.parametrize("reply", [answer(421), drop(keeps=False, at="rcpt")], ids=["421", "dropped"])
async def test_an_outage_counts_against_no_mail_and_all_go_when_it_ends(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, ola: UUID, rows: Rows, reply: Reply
) -> None:
    mailbox.script = lambda _: reply
    for account_id in (kari, ola):
        await auth.tell(code(account_id))
    assert [await courier.tick(), await courier.tick()] == [0, 0]
    assert [(mail["attempts"], mail["settled_at"]) for mail in await rows.mails()] == [(0, None)] * 2
    mailbox.script = None
    await rows.make_due()
    await drain(courier)
    assert sorted(mail.to for mail in mailbox.mails.listed()) == [(KARI,), (OLA,)]
    assert await kinds(rows) == ["MailDelivered"] * 2


@pytest.mark.goal("rel-R14")
async def test_a_server_that_hangs_is_left_within_the_set_time_and_nothing_is_counted(
    auth: Auth, impatient_courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    mailbox.script = lambda _: hang(at="rcpt")
    await auth.tell(code(kari))
    started = time.monotonic()
    assert await impatient_courier.tick() == 0
    assert time.monotonic() - started < 3.0
    mail = await rows.mail()
    assert (mail["attempts"], mail["claim"], mail["settled_at"]) == (0, None, None)
    mailbox.script = None
    await rows.make_due()
    await drain(impatient_courier)
    assert [mail.to for mail in mailbox.mails.listed()] == [(KARI,)]


@pytest.mark.goal("rel-R14")
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "lost"])
async def test_a_mail_whose_answer_was_lost_goes_again_with_the_same_message_id(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows, *, keeps: bool
) -> None:
    mailbox.script = lambda _: drop(keeps=keeps)
    await auth.tell(code(kari))
    assert await courier.tick() == 1
    assert await rows.events() == []
    mailbox.script = None
    await rows.make_due()
    await drain(courier)
    mail = await rows.mail()
    copies = 2 if keeps else 1
    assert [caught.message_id for caught in mailbox.mails.listed()] == [f"<{mail['id']}@mail.example.no>"] * copies
    assert (mail["outcome"], mail["attempts"]) == ("delivered", 2)
    assert await kinds(rows) == ["MailDelivered"]


@pytest.mark.goal("rel-R14")
async def test_mails_owed_while_the_server_is_away_go_by_themselves_when_it_comes_up(
    auth: Auth, notifications: Database, settings: NotificationsSettings, kari: UUID, ola: UUID, rows: Rows
) -> None:
    async def was_tried() -> bool:
        return any(mail["due_at"] > mail["owed_at"] for mail in await rows.mails())

    port = free_port()
    mailer = Mailer(settings.model_copy(update={"smtp_port": port}))
    courier = Courier(notifications, mailer, RENDERER, settings)
    loops = courier.loops()
    running = [asyncio.create_task(loop.run()) for loop in loops]
    for account_id in (kari, ola):
        await auth.tell(code(account_id))
    await until(was_tried, what="a mail to be tried in vain")
    async with OverheardMailbox(smtp_port=port) as mailbox:
        mails = await mailbox.wait_for(2, within=20)
        for loop in loops:
            loop.stop()
        await asyncio.gather(*running)
        await mailer.close()
    assert sorted(mail.to for mail in mails) == [(KARI,), (OLA,)]
    assert await kinds(rows) == ["MailDelivered"] * 2


async def test_several_mails_go_over_one_connection_and_a_broken_one_is_replaced(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    for _ in range(5):
        await auth.tell(code(kari))
    await drain(courier)
    assert mailbox.times("EHLO") == 1
    mailbox.script = lambda _: drop(keeps=False)
    await auth.tell(code(kari))
    await drain(courier)
    mailbox.script = None
    await rows.make_due()
    await drain(courier)
    assert mailbox.times("EHLO") == 2
    assert len(mailbox.mails.listed()) == 6


async def kinds(rows: Rows) -> list[str]:
    return sorted(kind.split(".")[1] for kind, _ in await rows.events())
