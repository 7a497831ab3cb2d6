"""The courier: sends what is worth sending, gives up what is not, and says which of the two in an event."""

import asyncio
import base64
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import structlog

from deploy.local.replies import answer, drop
from services.notifications import courier as module
from services.notifications.courier import Courier
from tests.notifications.conftest import NewCourier
from tests.notifications.post import Interrupted, OverheardMailbox, Rows, drain
from tests.notifications.writers import KARI, Auth, account, code


async def test_a_mail_that_was_taken_is_told_by_ids_alone(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    about = await auth.tell(code(kari))
    await drain(courier)
    mail = await rows.mail()
    assert (mail["outcome"], mail["smtp_code"], mail["attempts"]) == ("delivered", 250, 1)
    assert [caught.message_id for caught in mailbox.mails.listed()] == [f"<{mail['id']}@mail.example.no>"]
    ((kind, event),) = await rows.events()
    assert kind == "notifications.MailDelivered.v1"
    assert event.pop("delivered_at")
    assert (event.pop("account_epoch"), event.pop("account_version")) == (1, 1)
    assert event == {"mail_id": str(mail["id"]), "account_id": str(kari), "about": str(about), "kind": "login_code"}


async def test_the_mail_bears_the_time_at_which_it_was_owed(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    await rows.change("set owed_at = '2026-01-23 13:05:00Z'")
    await drain(courier)
    (mail,) = mailbox.mails.listed()
    assert dict(mail.headers)["Date"] == "Fri, 23 Jan 2026 13:05:00 +0000"


@pytest.mark.goal("rel-R14")
async def test_a_code_that_expired_before_its_turn_is_never_sent(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    await auth.tell(code(kari, lasts=timedelta(seconds=-1)))
    await rows.expire()
    await drain(courier)
    assert mailbox.heard == b""
    assert await given_up(rows) == ["expired", "expired"]


@pytest.mark.goal("rel-R14")
async def test_a_code_that_expires_while_the_server_takes_the_address_is_never_sent(
    auth: Auth,
    courier_with: NewCourier,
    interrupted: Interrupted,
    mailbox: OverheardMailbox,
    kari: UUID,
    rows: Rows,
) -> None:
    interrupted.before_text = rows.expire
    courier = courier_with(interrupted)
    await auth.tell(code(kari))
    await drain(courier)
    assert (mailbox.times("RCPT"), mailbox.times("DATA")) == (1, 0)
    assert await rows.events() == []
    await rows.end_leases()
    await drain(courier)
    assert (mailbox.times("RCPT"), mailbox.times("DATA")) == (1, 0)
    assert await given_up(rows) == ["expired"]


async def test_a_mail_without_an_address_is_given_up_after_an_hour(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, version=1))
    await auth.tell(code(account_id, version=2, lasts=timedelta(hours=3)))
    await auth.tell(code(uuid4(), lasts=timedelta(hours=3)))
    await rows.change("set owed_at = now() - interval '59 minutes'")
    assert await courier.tick() == 0
    await rows.change("set owed_at = now() - interval '61 minutes'")
    await drain(courier)
    assert mailbox.heard == b""
    assert await given_up(rows) == ["no_address", "no_address"]


async def test_an_account_that_is_closed_gets_no_mail(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, active=False))
    await auth.tell(code(account_id))
    await drain(courier)
    assert mailbox.heard == b""
    assert await given_up(rows) == ["inactive"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("set details = details - 'reference'", id="a value that the template lacks"),
        pytest.param("set details = details - 'minutes'", id="a count that the template lacks"),
        pytest.param("set kind = 'farewell'", id="a kind that nobody writes"),
        pytest.param("set sealed_code = 'A' || sealed_code", id="a code that no longer opens"),
    ],
)
async def test_a_mail_that_cannot_be_written_is_tried_five_times_and_given_up_with_nothing_sent(
    auth: Auth,
    courier: Courier,
    mailbox: OverheardMailbox,
    kari: UUID,
    rows: Rows,
    logged: list[structlog.typing.EventDict],
    damage: str,
) -> None:
    await auth.tell(code(kari))
    await rows.change(damage)
    for attempt in range(1, 6):
        assert await rows.events() == []
        await rows.make_due()
        assert await courier.tick() == 1
        assert (await rows.mail())["attempts"] == attempt
    await rows.make_due()
    assert await courier.tick() == 0
    assert mailbox.heard == b""
    assert await given_up(rows) == ["undeliverable"]
    assert [entry["log_level"] for entry in logged if entry["event"] == "mail_not_written"] == ["error"] * 5


async def test_a_mail_that_cannot_be_written_holds_up_no_other(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    await rows.change("set details = '{}'")
    await auth.tell(code(kari))
    await drain(courier)
    assert len(mailbox.mails.listed()) == 1


@pytest.mark.goal("sec-P1")
async def test_a_code_is_readable_in_no_table_and_no_log_line_whatever_becomes_of_its_mail(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows, logged: list[structlog.typing.EventDict]
) -> None:
    canary = "canary-482913"
    shapes = {
        canary,
        base64.b64encode(canary.encode()).decode().rstrip("="),
        canary.encode("utf-16-le").hex(),
    }
    replies = {"later@example.no": answer(450), "never@example.no": answer(550), "lost@example.no": drop(keeps=True)}
    mailbox.script = replies.get
    for address in (KARI, "closed@example.no", *replies):
        account_id = uuid4()
        await auth.tell(account(account_id, address, active=address != "closed@example.no"))
        await auth.tell(code(account_id, canary))
    await auth.tell(code(uuid4(), canary))
    assert await rows.holding(*shapes) == []
    await drain(courier)
    assert canary in mailbox.mails.listed(to=KARI)[0].text
    assert await rows.holding(*shapes) == []
    assert await rows.holding("K7M4") == ["mails"]
    assert len(logged) > 6
    assert not [shape for shape in shapes if shape in str(logged)]
    assert {mail["sealed_code"] is None for mail in await rows.mails() if mail["outcome"]} == {True}


async def test_the_events_hold_no_address_whatever_becomes_of_the_mail(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows
) -> None:
    mailbox.script = {"never@example.no": answer(550, text="<never@example.no> unknown")}.get
    for address, active in ((KARI, True), ("never@example.no", True), ("closed@example.no", False)):
        account_id = uuid4()
        await auth.tell(account(account_id, address, active=active))
        await auth.tell(code(account_id))
    await drain(courier)
    assert {kind for kind, _ in await rows.events()} == {
        "notifications.MailDelivered.v1",
        "notifications.MailBounced.v1",
        "notifications.MailGivenUp.v1",
    }
    assert await rows.holding("example.no") == ["contacts"]
    assert set(await rows.holding("login_code")) == {"mails", "outbox"}


async def test_a_mail_goes_as_soon_as_it_is_owed(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 3600.0)
    loops = courier.loops()
    assert len(loops) == 2
    running = [asyncio.create_task(loop.run()) for loop in loops]
    for n in (1, 2):
        await auth.tell(code(kari))
        await mailbox.wait_for(n)
    for loop in loops:
        loop.stop()
    await asyncio.gather(*running)


async def given_up(rows: Rows) -> list[str]:
    """Give the reasons, if nothing else became of any mail."""
    events = await rows.events()
    assert {kind for kind, _ in events} == {"notifications.MailGivenUp.v1"}
    assert {mail["outcome"] for mail in await rows.mails()} == {"given_up"}
    return [event["reason"] for _, event in events]
