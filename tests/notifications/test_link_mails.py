"""The mails about links: the code that links goes to an address that may be nobody's, the one that parts to the account."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contracts.auth import LinkCodeRequested, OtpRequestedV2
from contracts.privacy import Sealed
from services.notifications.courier import Courier
from tests.notifications.post import OverheardMailbox, Rows, drain
from tests.notifications.writers import CODE, KARI, Auth, account

NEW = "kari@eksempelkommune.example"


def requested(language: str) -> LinkCodeRequested:
    now = datetime.now(UTC)
    return LinkCodeRequested(
        challenge_id=uuid4(),
        address=Sealed(NEW),
        language=Sealed(language),
        reference="K7M4",
        code=Sealed(CODE),
        issued_at=now,
        expires_at=now + timedelta(minutes=10),
    )


@pytest.mark.rule("I6")
@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("nb", "Knytt e-postadressen din: engangskode (referanse K7M4)"),
        ("nn", "Knyt e-postadressa di: eingongskode (referanse K7M4)"),
        ("en", "Link your e-mail address: one-time code (reference K7M4)"),
    ],
)
async def test_a_code_that_links_reaches_an_address_without_an_account(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows, language: str, subject: str
) -> None:
    await auth.tell(requested(language))
    assert NEW not in str(dict(await rows.mail()))
    await drain(courier)
    (mail,) = mailbox.mails.listed()
    assert (mail.to, mail.subject) == ((NEW,), subject)
    assert CODE in mail.text and CODE in mail.html
    assert NEW in mail.text
    settled = await rows.mail()
    assert (settled["outcome"], settled["sealed_address"], settled["sealed_code"]) == ("delivered", None, None)


@pytest.mark.rule("I14")
@pytest.mark.parametrize(
    ("language", "said"), [("nb", "fjerne koblingen"), ("nn", "fjerne koplinga"), ("en", "remove")]
)
async def test_a_code_that_parts_goes_to_the_account(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, language: str, said: str
) -> None:
    account_id, now = uuid4(), datetime.now(UTC)
    await auth.tell(account(account_id, language=language))
    await auth.tell(
        OtpRequestedV2(
            challenge_id=uuid4(),
            account_id=account_id,
            account_epoch=1,
            account_version=1,
            purpose="unlink",
            reference="K7M4",
            code=Sealed(CODE),
            issued_at=now,
            expires_at=now + timedelta(minutes=10),
        )
    )
    await drain(courier)
    (mail,) = mailbox.mails.listed()
    assert mail.to == (KARI,)
    assert said in mail.text
    assert CODE in mail.text
