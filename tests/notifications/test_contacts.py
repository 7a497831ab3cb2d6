"""Contacts: the newest state of an account that was seen, however the messages come."""

from uuid import UUID, uuid4

import pytest

from chassis.sealing import CannotOpen
from services.notifications.courier import Courier
from tests.notifications.post import OverheardMailbox, Rows
from tests.notifications.writers import KARI, Auth, account, code, field_of, with_field

OLD, NEW = "old@example.no", "new@example.no"


async def test_where_mail_reaches_an_account_is_kept(auth: Auth, rows: Rows) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, language="nn", epoch=2, version=3))
    (contact,) = await rows.contacts()
    known = ("account_id", "epoch", "version", "active", "address", "language")
    assert [contact[name] for name in known] == [account_id, 2, 3, True, KARI, "nn"]


async def test_the_highest_epoch_and_version_stays(auth: Auth, rows: Rows) -> None:
    for first, then in (
        ((1, 1), (1, 2)),
        ((1, 9), (1, 10)),
        ((1, 2), (1, 1)),
        ((1, 9), (2, 1)),
        ((2, 1), (1, 9)),
    ):
        account_id = uuid4()
        await auth.tell(account(account_id, OLD, epoch=first[0], version=first[1]))
        await auth.tell(account(account_id, NEW, epoch=then[0], version=then[1]))
        contact = next(row for row in await rows.contacts() if row["account_id"] == account_id)
        assert (contact["epoch"], contact["version"]) == max(first, then)
        assert contact["address"] == (NEW if then > first else OLD)


async def test_another_message_of_the_same_version_is_passed_over(auth: Auth, rows: Rows) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, OLD))
    await auth.tell(account(account_id, NEW))
    assert [row["address"] for row in await rows.contacts()] == [OLD]


async def test_the_same_message_again_changes_nothing(auth: Auth, rows: Rows) -> None:
    arrival = await auth.write(account(uuid4()))
    await auth.hand_in(arrival)
    before = await rows.contacts()
    await auth.hand_in(arrival)
    assert await rows.contacts() == before


async def test_accounts_do_not_disturb_each_other(auth: Auth, rows: Rows) -> None:
    one, other = uuid4(), uuid4()
    await auth.tell(account(one, OLD, version=9))
    await auth.tell(account(other, NEW, version=1))
    assert {row["account_id"]: row["address"] for row in await rows.contacts()} == {one: OLD, other: NEW}


async def test_a_language_that_no_template_has_is_refused_and_nothing_is_kept(auth: Auth, rows: Rows) -> None:
    with pytest.raises(ValueError, match="'de' is not a valid Language"):
        await auth.tell(account(uuid4(), language="de"))
    assert await rows.contacts() == []


@pytest.mark.goal("sec-P2")
async def test_an_address_that_was_sealed_for_another_account_is_refused(auth: Auth, rows: Rows) -> None:
    stolen = field_of(await auth.write(account(uuid4(), OLD)), "address")
    moved = with_field(await auth.write(account(uuid4(), NEW)), "address", stolen)
    with pytest.raises(CannotOpen):
        await auth.hand_in(moved)
    assert await rows.contacts() == []


@pytest.mark.goal("sec-F8")
@pytest.mark.parametrize(
    "address", ["a@example.no\r\nBcc: b@example.no", "a@example.no, b@example.no", "blåbær@example.no"]
)
async def test_an_address_that_is_not_one_plain_address_never_reaches_the_mail_server(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows, address: str
) -> None:
    account_id: UUID = uuid4()
    await auth.tell(account(account_id, address))
    await auth.tell(code(account_id))
    for _ in range(5):
        assert await courier.tick() == 1
        await rows.make_due()
    assert mailbox.heard == b""
    assert [event["reason"] for _, event in await rows.events()] == ["undeliverable"]
