"""After a restore no mail that was told of is sent again, and erased people stay forgotten unless their owner says so."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from chassis.arrival import Arrival
from chassis.ghosts import Ghost
from chassis.postgres import Database
from contracts.auth import AccountErased
from contracts.notifications import MailBounced, MailDelivered, MailGivenUp
from services.notifications import restore
from services.notifications.courier import Courier
from tests.notifications.post import OverheardMailbox, Rows, drain
from tests.notifications.writers import Auth, Record, account, code, envelope_of
from tests.support.lanes import headers

pytestmark = pytest.mark.goal("rel-R11")


def erased(account_id: UUID, *, epoch: int = 1, version: int) -> AccountErased:
    return AccountErased(account_id=account_id, epoch=epoch, version=version)


async def known(rows: Rows) -> list[tuple[int, int, bool, str | None]]:
    return [(row["epoch"], row["version"], row["active"], row["address"]) for row in await rows.contacts()]


async def test_an_erased_person_is_forgotten_and_nothing_older_brings_them_back(auth: Auth, rows: Rows) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, version=1))
    await auth.tell(erased(account_id, version=3))
    await auth.tell(account(account_id, version=2))
    assert await known(rows) == [(1, 3, False, None)]


async def test_an_erasure_that_comes_first_is_kept_and_a_later_epoch_wins_over_it(auth: Auth, rows: Rows) -> None:
    account_id = uuid4()
    await auth.tell(erased(account_id, version=3))
    await auth.tell(account(account_id, "kari@example.no", version=1))
    assert await known(rows) == [(1, 3, False, None)]
    await auth.tell(account(account_id, "kari@example.no", epoch=2, version=1))
    await auth.tell(erased(account_id, version=4))
    assert await known(rows) == [(2, 1, True, "kari@example.no")]


async def test_a_mail_to_an_erased_person_is_given_up(
    auth: Auth, rows: Rows, courier: Courier, mailbox: OverheardMailbox
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id))
    await auth.tell(erased(account_id, version=2))
    await auth.tell(code(account_id))
    await drain(courier)
    assert (await rows.events())[-1][1]["reason"] == "no_address"
    assert mailbox.mails.listed() == []


def ghost(type_: str, /, **value: object) -> Ghost:
    told = json.dumps(value, default=str).encode()
    record = Record("notifications.deliveries.v1", 0, 1, b"k", told, headers(type_))
    return Ghost(Arrival.of(record), datetime.now(UTC))


def delivered(about: UUID, mail_id: UUID | None = None) -> Ghost:
    return ghost(
        MailDelivered.type,
        mail_id=mail_id or uuid4(), account_id=uuid4(), about=about, kind="login_code", delivered_at=datetime.now(UTC),
    )  # fmt: skip


async def settled(notifications: Database, found: Ghost) -> str | None:
    async with notifications.transaction() as conn:
        return await restore.settle(conn, found)


async def test_a_message_whose_mail_went_out_in_the_lost_time_counts_as_handled(
    auth: Auth, kari: UUID, notifications: Database, owner: object
) -> None:
    arrival = await auth.write(code(kari))
    found = delivered(UUID(envelope_of(arrival).id))
    assert await settled(notifications, found) == "mail noted as delivered"
    assert await settled(notifications, found) is None
    async with notifications.transaction() as conn:
        noted = await conn.fetch("select source, message_id from inbox")
    assert [tuple(row) for row in noted] == [arrival.identity]


async def test_a_mail_that_waits_here_and_went_out_in_the_lost_time_is_not_sent_again(
    auth: Auth, kari: UUID, notifications: Database, rows: Rows, courier: Courier, mailbox: OverheardMailbox
) -> None:
    about = await auth.tell(code(kari))
    mail = await rows.mail()
    assert await settled(notifications, delivered(about, mail["id"])) == "mail noted as delivered"
    await drain(courier)
    assert mailbox.mails.listed() == []
    settled_mail = await rows.mail()
    assert (settled_mail["outcome"], settled_mail["sealed_code"]) == ("delivered", None)


async def test_a_bounce_is_noted_and_what_was_given_up_or_cannot_be_read_is_left_alone(
    notifications: Database,
) -> None:
    told = {"mail_id": uuid4(), "account_id": uuid4(), "about": uuid4(), "kind": "login_code"}
    bounced = ghost(MailBounced.type, **told, smtp_code=550, bounced_at=datetime.now(UTC))
    assert await settled(notifications, bounced) == "mail noted as bounced"
    given_up = ghost(MailGivenUp.type, **told, reason="expired", given_up_at=datetime.now(UTC))
    assert await settled(notifications, given_up) is None
    assert await settled(notifications, ghost(MailDelivered.type, mail_id="none")) is None
    other = told | {"kind": "letter", "about": uuid4(), "delivered_at": datetime.now(UTC)}
    assert await settled(notifications, ghost(MailDelivered.type, **other)) is None
