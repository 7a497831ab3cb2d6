"""Couriers side by side, overtaken, and dead: a mail is held by one of them at a time, and never lost."""

import asyncio
from collections import Counter
from datetime import datetime
from uuid import UUID, uuid4

import pytest

from chassis.postgres import Connection, Database
from services.notifications import courier as module
from services.notifications import store
from services.notifications.courier import Courier
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import Mailer
from tests.conftest import OpenDatabase
from tests.notifications.conftest import NewCourier
from tests.notifications.post import RENDERER, Interrupted, OverheardMailbox, Rows, drain
from tests.notifications.writers import Auth, account, code


class Killed(BaseException):
    """Stands in for the end of the process."""


@pytest.mark.goal("rel-R14")
async def test_two_couriers_send_each_of_forty_mails_exactly_once(
    auth: Auth,
    open_as: OpenDatabase,
    settings: NotificationsSettings,
    mailbox: OverheardMailbox,
    rows: Rows,
) -> None:
    people = [uuid4() for _ in range(40)]
    for account_id in people:
        await auth.tell(account(account_id, f"{account_id}@example.no"))
        await auth.tell(code(account_id))
    mailers = [Mailer(settings) for _ in range(2)]
    couriers = [Courier(await open_as("notifications"), mailer, RENDERER, settings) for mailer in mailers]
    await asyncio.gather(*(drain(courier) for courier in couriers for _ in range(3)))
    for mailer in mailers:
        await mailer.close()
    sent = Counter(address for mail in mailbox.mails.listed() for address in mail.to)
    assert sent == {f"{account_id}@example.no": 1 for account_id in people}
    assert len({mail.message_id for mail in mailbox.mails.listed()}) == 40
    assert [kind for kind, _ in await rows.events()] == ["notifications.MailDelivered.v1"] * 40


@pytest.mark.goal("rel-R14")
async def test_a_courier_that_was_overtaken_before_the_text_sends_and_settles_nothing(
    auth: Auth,
    courier: Courier,
    courier_with: NewCourier,
    interrupted: Interrupted,
    mailbox: OverheardMailbox,
    kari: UUID,
    rows: Rows,
) -> None:
    async def be_overtaken() -> None:
        await rows.end_leases()
        await drain(courier)

    interrupted.before_text = be_overtaken
    await auth.tell(code(kari))
    assert await courier_with(interrupted).tick() == 1
    assert (mailbox.times("RCPT"), mailbox.times("DATA")) == (2, 1)
    assert len(mailbox.mails.listed()) == 1
    assert [kind for kind, _ in await rows.events()] == ["notifications.MailDelivered.v1"]


@pytest.mark.goal("rel-R14")
async def test_a_claim_that_postgres_confirmed_too_late_is_not_used(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then it may have run out, and another courier is at it: seen on a network that stood still for seconds."""
    await auth.tell(code(kari))
    moments = iter([0.0, module.MARGIN_SECONDS + 0.1])
    with monkeypatch.context() as slow:
        slow.setattr(module, "monotonic", lambda: next(moments))
        assert await courier.tick() == 1
    assert (mailbox.times("RCPT"), mailbox.times("DATA")) == (1, 0)
    assert await rows.events() == []
    await rows.end_leases()
    await drain(courier)
    assert mailbox.times("DATA") == len(mailbox.mails.listed()) == 1


async def test_a_courier_that_was_overtaken_after_the_text_settles_nothing(
    auth: Auth,
    courier_with: NewCourier,
    interrupted: Interrupted,
    notifications: Database,
    kari: UUID,
    rows: Rows,
) -> None:
    async def be_overtaken() -> None:
        await rows.end_leases()
        async with notifications.transaction() as conn:
            claims.extend(await store.claim_mails(conn, limit=1, seconds=60))

    claims: list[store.Mail] = []
    interrupted.after_text = be_overtaken
    await auth.tell(code(kari))
    assert await courier_with(interrupted).tick() == 1
    mail = await rows.mail()
    assert mail["settled_at"] is None
    assert [claim.claim for claim in claims] == [mail["claim"]]
    assert await rows.events() == []


@pytest.mark.goal("rel-R14")
async def test_the_claim_of_a_dead_courier_is_taken_over_when_its_time_is_over_and_not_before(
    auth: Auth, courier: Courier, notifications: Database, mailbox: OverheardMailbox, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    async with notifications.transaction() as conn:
        assert len(await store.claim_mails(conn, limit=1, seconds=60)) == 1
    assert await courier.tick() == 0
    await rows.end_leases()
    assert await courier.tick() == 1
    assert len(mailbox.mails.listed()) == 1


@pytest.mark.goal("rel-R14")
@pytest.mark.parametrize(("place", "copies"), [("courier.claimed", 1), ("courier.confirmed", 1), ("courier.sent", 2)])
async def test_a_courier_that_ends_anywhere_loses_no_mail_and_repeats_only_one_that_was_sent(
    auth: Auth,
    courier: Courier,
    mailbox: OverheardMailbox,
    kari: UUID,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    copies: int,
) -> None:
    def kill(name: str) -> None:
        if name == place:
            raise Killed

    await auth.tell(code(kari))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("chassis.failpoints._hooks", [kill])
        await courier.tick()
    assert await rows.events() == []
    assert await courier.tick() == 0
    await rows.end_leases()
    assert await courier.tick() == 1
    message_id = f"<{(await rows.mail())['id']}@mail.example.no>"
    assert [mail.message_id for mail in mailbox.mails.listed()] == [message_id] * copies
    assert [kind for kind, _ in await rows.events()] == ["notifications.MailDelivered.v1"]


async def test_a_database_that_fails_before_the_text_leaves_the_mail_unsent_and_to_be_claimed_again(
    auth: Auth,
    courier_with: NewCourier,
    interrupted: Interrupted,
    mailbox: OverheardMailbox,
    kari: UUID,
    rows: Rows,
) -> None:
    async def fail() -> None:
        raise ConnectionError

    interrupted.before_text = fail
    courier = courier_with(interrupted)
    await auth.tell(code(kari))
    with pytest.raises(ConnectionError):
        await courier.tick()
    assert mailbox.times("DATA") == 0
    interrupted.before_text = None
    await rows.end_leases()
    assert await courier.tick() == 1
    assert len(mailbox.mails.listed()) == 1


@pytest.mark.goal("rel-R14")
async def test_a_mail_that_was_taken_while_the_database_failed_is_noted_later_and_not_sent_again(
    auth: Auth,
    courier: Courier,
    mailbox: OverheardMailbox,
    kari: UUID,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle, failures = store.settle_mail, [ConnectionError(), TimeoutError()]

    async def settle_at_last(
        conn: Connection, mail: store.Mail, outcome: str, smtp_code: int | None
    ) -> datetime | None:
        moment = await settle(conn, mail, outcome, smtp_code)
        if failures:
            raise failures.pop()
        return moment

    monkeypatch.setattr(store, "settle_mail", settle_at_last)
    await auth.tell(code(kari))
    assert await courier.tick() == 1
    assert failures == []
    assert len(mailbox.mails.listed()) == 1
    assert [kind for kind, _ in await rows.events()] == ["notifications.MailDelivered.v1"]


async def test_a_courier_that_finds_nothing_due_says_so_and_stays_away_from_the_mail_server(
    courier: Courier, mailbox: OverheardMailbox
) -> None:
    assert await courier.tick() == 0
    assert mailbox.heard == b""
