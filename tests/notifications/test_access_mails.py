"""Mails about access: whoever decides is told that something waits, whoever ordered what came of it (C3, U29)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from contracts.auth import AccessDecided, AccessOrdered
from contracts.privacy import Sealed
from services.notifications.courier import Courier
from tests.notifications.post import OverheardMailbox, Rows, drain
from tests.notifications.writers import KARI, Auth, account

NEW = "ny.person@example.no"


def decided(*, granted: bool, language: str = "nb", hours: int = 0) -> AccessDecided:
    moment = datetime.now(UTC) - timedelta(hours=hours)
    return AccessDecided(
        order_id=uuid4(),
        organisation_id=uuid4(),
        granted=granted,
        account_id=uuid4() if granted else None,
        address=Sealed(NEW),
        language=Sealed(language),
        decided_at=moment,
    )


def ordered(*audience: UUID) -> AccessOrdered:
    return AccessOrdered(order_id=uuid4(), organisation_id=uuid4(), audience=audience, ordered_at=datetime.now(UTC))


@pytest.mark.rule("C3", "U29")
async def test_each_who_may_decide_is_told_once_that_somebody_waits_and_not_who(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox
) -> None:
    boss, deputy = uuid4(), uuid4()
    await auth.tell(account(boss, KARI, version=3))
    await auth.tell(account(deputy, "deputy@example.no", language="nn"))
    await auth.tell(ordered(boss, deputy))
    await drain(courier)
    mails = {mail.to[0]: mail for mail in mailbox.mails.listed()}
    assert sorted(mails) == ["deputy@example.no", KARI]
    assert (mails[KARI].subject, mails["deputy@example.no"].subject) == (
        "Noen bestiller tilgang",
        "Nokon bestiller tilgang",
    )
    assert "/access-orders" in mails[KARI].text


@pytest.mark.rule("C3")
@pytest.mark.parametrize(
    ("granted", "language", "subject"),
    [
        (True, "nb", "Du har fått tilgang"),
        (False, "nn", "Tilgangen du bestilte, vart ikkje gitt"),
        (False, "en", "The access that you ordered was not given"),
    ],
)
async def test_whoever_ordered_is_told_what_came_of_it_also_without_an_account(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows, granted: bool, language: str, subject: str
) -> None:
    await auth.tell(decided(granted=granted, language=language))
    waiting = await rows.mail()
    assert waiting["sealed_address"].count(".") == 4
    assert NEW not in str(dict(waiting))
    await drain(courier)
    (mail,) = mailbox.mails.listed()
    assert (mail.to, mail.subject) == ((NEW,), subject)
    settled = await rows.mail()
    assert (settled["outcome"], settled["sealed_address"]) == ("delivered", None)
    ((kind, event),) = await rows.events()
    assert (kind, event["account_version"]) == ("notifications.MailDelivered.v1", None)
    assert NEW not in str(event)


async def test_news_that_are_a_week_old_are_sent_no_more(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, rows: Rows
) -> None:
    await auth.tell(decided(granted=True, hours=24 * 7))
    await drain(courier)
    assert mailbox.mails.listed() == []
    assert (await rows.mail())["outcome"] == "given_up"
