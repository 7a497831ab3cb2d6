"""Code mails: owed for one account, opened in the courier's memory only, sent from one sender."""

import dataclasses
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from joserfc.jwk import KeySet

from chassis.arrival import Arrival, Broken, read_envelope
from chassis.postgres import Database
from chassis.sealing import CannotOpen, Keyring, Place, new_key
from services.notifications.consumers import HANDLERS
from services.notifications.courier import MAILS_BELL, Courier
from tests.notifications.post import OverheardMailbox, Rows, drain
from tests.notifications.writers import CODE, KARI, Auth, account, code, envelope_of, field_of, with_field


@pytest.mark.rule("G1")
@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("nb", "Engangskoden din (referanse K7M4)"),
        ("nn", "Eingongskoden din (referanse K7M4)"),
        ("en", "Your one-time code (reference K7M4)"),
    ],
)
async def test_the_code_goes_to_the_accounts_address_in_its_language_from_the_sender_of_codes(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, language: str, subject: str
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, language=language))
    await auth.tell(code(account_id))
    await drain(courier)
    (mail,) = mailbox.mails.listed()
    headers = dict(mail.headers)
    assert (mail.sender, mail.to, headers["To"]) == ("ikkesvar@virke.no", (KARI,), KARI)
    assert headers["From"] == "Eksempelforbundet <ikkesvar@virke.no>"
    assert (mail.subject, headers["Content-Language"]) == (subject, language)
    assert CODE in mail.text
    assert CODE in mail.html


async def test_the_mail_is_owed_at_once_with_its_code_sealed_and_the_couriers_are_woken(
    auth: Auth, notifications: Database, rows: Rows
) -> None:
    account_id = uuid4()
    arrival = await auth.write(code(account_id, epoch=2, version=3, lasts=timedelta(minutes=5)))
    async with notifications.transaction() as conn:
        await HANDLERS.call(conn, arrival)
        assert MAILS_BELL in conn.context.rings
    mail = await rows.mail()
    assert (mail["account_id"], mail["account_epoch"], mail["account_version"]) == (account_id, 2, 3)
    assert mail["urgent"]
    assert mail["details"] == '{"minutes": 5, "reference": "K7M4"}'
    assert mail["sealed_code"] == field_of(arrival, "code")
    assert mail["source"] == "/services/auth"
    assert mail["message_id"] == envelope_of(arrival).id


async def test_a_code_that_lasts_seconds_is_said_to_last_a_minute(auth: Auth, rows: Rows) -> None:
    await auth.tell(code(uuid4(), lasts=timedelta(seconds=20)))
    assert (await rows.mail())["details"] == '{"minutes": 1, "reference": "K7M4"}'


async def test_a_mail_waits_for_an_account_that_was_not_heard_of_yet(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox
) -> None:
    account_id = uuid4()
    await auth.tell(code(account_id))
    assert await courier.tick() == 0
    await auth.tell(account(account_id))
    assert await courier.tick() == 1
    assert [mail.to for mail in mailbox.mails.listed()] == [(KARI,)]


async def test_a_code_never_goes_to_an_address_that_was_replaced(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, "old@example.no", version=1))
    await auth.tell(code(account_id, version=2))
    assert await courier.tick() == 0
    await auth.tell(account(account_id, "new@example.no", version=2))
    assert await courier.tick() == 1
    assert mailbox.tries.of("old@example.no") == 0
    assert [mail.to for mail in mailbox.mails.listed()] == [("new@example.no",)]


async def test_a_contact_of_a_later_epoch_is_new_enough(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, epoch=2, version=1))
    await auth.tell(code(account_id, epoch=1, version=9))
    assert await courier.tick() == 1
    assert [mail.to for mail in mailbox.mails.listed()] == [(KARI,)]


@pytest.mark.goal("sec-P2")
async def test_a_code_that_was_sealed_in_another_message_is_refused_and_no_mail_is_owed(
    auth: Auth, kari: UUID, rows: Rows
) -> None:
    stolen = field_of(await auth.write(code(uuid4(), "111111")), "code")
    moved = with_field(await auth.write(code(kari)), "code", stolen)
    with pytest.raises(CannotOpen, match="sealed for another place"):
        await auth.hand_in(moved)
    assert await rows.mails() == []


def _flipped(token: str, part: int) -> str:
    parts = token.split(".")
    parts[part] = ("B" if parts[part][0] == "A" else "A") + parts[part][1:]
    return ".".join(parts)


@pytest.mark.goal("sec-P2")
async def test_a_flipped_byte_anywhere_is_refused_and_no_mail_is_owed(auth: Auth, kari: UUID, rows: Rows) -> None:
    arrival = await auth.write(code(kari))
    header, vector, text, tag = 0, 2, 3, 4
    for part in (header, vector, text, tag):
        with pytest.raises(CannotOpen):
            await auth.hand_in(with_field(arrival, "code", _flipped(field_of(arrival, "code"), part)))
    assert await rows.mails() == []


@pytest.mark.goal("sec-P2")
async def test_a_code_sealed_with_a_key_that_is_not_ours_is_refused_and_no_mail_is_owed(
    auth: Auth, kari: UUID, rows: Rows
) -> None:
    arrival = await auth.write(code(kari))
    for kid in ("notifications-1", "notifications-9"):
        with pytest.raises(CannotOpen):
            await auth.hand_in(with_field(arrival, "code", _sealed_with(kid, arrival)))
    assert await rows.mails() == []


def _sealed_with(kid: str, arrival: Arrival) -> str:
    envelope = envelope_of(arrival)
    stranger = Keyring("auth", {"notifications": KeySet([new_key(kid)])}, None)
    return stranger.seal(CODE, "notifications", Place(envelope.id, envelope.type, "code"))


async def test_a_message_whose_id_no_event_could_name_owes_no_mail(
    auth: Auth, notifications: Database, kari: UUID, rows: Rows
) -> None:
    """What became of the mail is told with this id: found out after the mail had gone, it would go again and again."""
    arrival = await auth.write(code(kari))
    headers = [(name, b"no-uuid" if name == "ce_id" else value) for name, value in arrival.headers]
    place = Place("no-uuid", envelope_of(arrival).type, "code")
    token = notifications.identity.keyring.seal(CODE, "notifications", place)
    foreign = with_field(arrival, "code", token)
    renamed = dataclasses.replace(foreign, envelope=read_envelope(headers))
    with pytest.raises(Broken, match="ce_id"):
        await auth.hand_in(renamed)
    assert await rows.mails() == []
