"""What else a person is told about an account: each in three languages, with what the rules name and nothing more."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.arrival import Broken
from chassis.texts import Language
from contracts.auth import (
    AccountBlocked,
    AddressReplaced,
    PasswordChanged,
    PasswordInstructionsRequested,
    UserNameRequested,
)
from contracts.message import Message
from contracts.privacy import Sealed
from deploy.local.mails import Mail
from services.notifications import courier
from services.notifications.courier import Courier
from tests.notifications.post import RENDERER, OverheardMailbox, Rows, drain
from tests.notifications.writers import CODE, KARI, Auth, account, other_code

TOKEN = "canary-token-271828"
CHANGED_AT = datetime(2026, 11, 30, 11, 5, tzinfo=UTC)


def reminder(account_id: UUID) -> UserNameRequested:
    now = datetime.now(UTC)
    return UserNameRequested(
        challenge_id=uuid4(), user_name=Sealed("kari.n"), asked_at=now, expires_at=now + timedelta(minutes=30),
        **state(account_id),
    )  # fmt: skip


def instructions(account_id: UUID) -> PasswordInstructionsRequested:
    now = datetime.now(UTC)
    return PasswordInstructionsRequested(
        challenge_id=uuid4(), token=Sealed(TOKEN), issued_at=now, expires_at=now + timedelta(minutes=30),
        **state(account_id),
    )  # fmt: skip


def block(account_id: UUID, **left: float) -> AccountBlocked:
    return AccountBlocked(until=datetime.now(UTC) + timedelta(**left), **state(account_id))


def change(account_id: UUID) -> PasswordChanged:
    return PasswordChanged(changed_at=datetime.now(UTC), **state(account_id))


def state(account_id: UUID) -> dict[str, Any]:
    return {"account_id": account_id, "account_epoch": 1, "account_version": 1}


@pytest.fixture
async def sent(auth: Auth, courier: Courier, mailbox: OverheardMailbox) -> Any:
    async def send(message: Message, language: str = "nb") -> Mail:
        account_id: UUID = message.account_id  # type: ignore[attr-defined]  # each of these has one.
        await auth.tell(account(account_id, language=language))
        await auth.tell(message)
        await drain(courier)
        (mail,) = mailbox.mails.listed()
        assert mail.to == (KARI,)
        return mail

    return send


@pytest.mark.rule("L3")
@pytest.mark.parametrize(
    ("language", "subject"), [("nb", "Brukernavnet ditt"), ("nn", "Brukarnamnet ditt"), ("en", "Your user name")]
)
async def test_a_reminder_says_the_user_name_and_nothing_that_opens_a_door(
    sent: Any, rows: Rows, language: str, subject: str
) -> None:
    mail = await sent(reminder(uuid4()), language)
    assert mail.subject == subject
    for part in (mail.text, mail.html):
        assert "kari.n" in part
        assert "#" not in part.replace("&#", "").partition("</style>")[2]
    assert "kari.n" not in mail.subject
    assert (await rows.mail())["sealed_code"] is None


@pytest.mark.rule("L5", "L6")
@pytest.mark.goal("sec-A16")
@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("nb", "Slik velger du et nytt passord"),
        ("nn", "Slik vel du eit nytt passord"),
        ("en", "How to choose a new password"),
    ],
)
async def test_instructions_hold_a_link_into_our_own_pages_and_no_password(
    sent: Any, language: str, subject: str
) -> None:
    mail = await sent(instructions(uuid4()), language)
    assert mail.subject == subject
    for part in (mail.text, mail.html):
        assert f"https://portal.example.no/min/new-password#{TOKEN}" in part
    assert TOKEN not in mail.subject


@pytest.mark.goal("sec-P1")
async def test_the_token_of_a_link_is_kept_nowhere_in_the_clear(auth: Auth, rows: Rows) -> None:
    await auth.tell(instructions(uuid4()))
    assert await rows.holding(TOKEN) == []


@pytest.mark.rule("L7", "L8")
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("nb", "om 15 minutter. Da kan du logge inn eller bestille et nytt passord."),
        ("nn", "om 15 minutt. Då kan du logge inn eller bestille eit nytt passord."),
        ("en", "in 15 minutes. Then you can log in, or order a new password."),
    ],
)
async def test_who_is_blocked_is_told_for_how_long(sent: Any, language: str, said: str) -> None:
    assert said in " ".join((await sent(block(uuid4(), minutes=15), language)).text.split())


async def test_the_last_minute_of_a_block_is_said_in_the_singular(sent: Any) -> None:
    assert "om ett minutt" in (await sent(block(uuid4(), seconds=50))).text


@pytest.mark.rule("L8")
async def test_nobody_is_told_of_a_block_that_is_over(
    auth: Auth, rows: Rows, courier: Courier, mailbox: OverheardMailbox
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id))
    await auth.tell(block(account_id, minutes=15))
    await rows.expire()
    await drain(courier)
    assert mailbox.mails.listed() == []
    assert (await rows.events())[-1][1]["reason"] == "expired"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("nb", "30. november 2026 kl. 12.05"),
        ("nn", "30. november 2026 kl. 12.05"),
        ("en", "30 November 2026 at 12:05 Norwegian time"),
    ],
)
async def test_a_new_password_is_told_with_its_day_and_time_also_days_later(
    sent: Any, rows: Rows, language: str, said: str
) -> None:
    mail = await sent(change(uuid4()), language)
    values = {"address": KARI, "changed_at": CHANGED_AT, "sender_name": "E", "support": {"email": "e", "phone": "p"}}
    written = RENDERER.render("password_changed", Language(language), values)
    assert said in " ".join(written.text.replace("\N{NO-BREAK SPACE}", " ").split())
    row = await rows.mail()
    assert row["expires_at"] - row["owed_at"] > timedelta(days=6, hours=23)
    assert not row["urgent"]
    assert mail.subject


OLD = "kari.gammel@example.no"


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("nb", "Kontoen din har fått en annen e-postadresse"),
        ("nn", "Kontoen din har fått ei anna e-postadresse"),
        ("en", "Your account has another e-mail address"),
    ],
)
async def test_the_old_address_of_an_account_is_told_without_the_new_one_and_whether_it_takes_the_mail_says_nothing_of_it(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows, language: str, subject: str
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id, KARI, version=2))
    await auth.tell(
        AddressReplaced(
            account_id=account_id, address=Sealed(OLD), language=Sealed(language), replaced_at=datetime.now(UTC)
        )
    )
    assert await rows.holding(OLD) == []
    await drain(courier)
    (mail,) = mailbox.mails.listed()
    assert (mail.to, mail.subject) == ((OLD,), subject)
    for part in (mail.text, mail.html):
        assert OLD in part and KARI not in part
    ((kind, event),) = await rows.events()
    assert (kind, event["account_version"], event["account_epoch"]) == ("notifications.MailDelivered.v1", None, None)


async def test_a_block_is_said_in_the_subject_as_it_is_for_a_known_device_still_works(sent: Any) -> None:
    assert (await sent(block(uuid4(), minutes=15))).subject == "Kontoen din er midlertidig blokkert"


@pytest.mark.rule("G1", "U5", "U16")
@pytest.mark.parametrize(
    ("purpose", "language", "said"),
    [
        ("activation", "nb", "aktivere brukerkontoen"),
        ("activation", "nn", "aktivere brukarkontoen"),
        ("activation", "en", "activate your account"),
        ("password_reset", "nb", "velge et nytt passord"),
        ("password_reset", "nn", "velje eit nytt passord"),
        ("password_reset", "en", "choose a new password"),
    ],
)
async def test_a_code_says_what_it_is_for(sent: Any, purpose: str, language: str, said: str) -> None:
    mail = await sent(other_code(uuid4(), purpose), language)
    assert said in mail.text
    assert CODE in mail.text and CODE in mail.html
    assert "K7M4" in mail.subject and CODE not in mail.subject


async def test_a_code_for_what_is_not_known_here_is_set_aside(auth: Auth, rows: Rows) -> None:
    with pytest.raises(Broken, match="purpose"):
        await auth.tell(other_code(uuid4(), "farewell"))
    assert await rows.mails() == []


@pytest.mark.goal("rel-R14")
@pytest.mark.parametrize("message", [reminder, instructions, change])
async def test_each_is_one_mail_however_often_the_courier_looks(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, message: Any
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id))
    await auth.tell(message(account_id))
    await drain(courier, courier)
    assert len(mailbox.mails.listed()) == 1


def test_every_kind_of_mail_has_its_templates() -> None:
    folder = set(RENDERER._environments[Language.NB].list_templates())
    assert {f"{kind}.{suffix}" for kind in courier.KINDS for suffix in ("subject.txt", "txt", "html")} <= folder
