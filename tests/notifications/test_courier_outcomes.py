"""What became of a mail is noted and told in one transaction."""

from uuid import UUID

import pytest

from chassis import outbox
from chassis.postgres import Connection
from contracts.message import Message
from services.notifications.courier import Courier
from tests.notifications.post import OverheardMailbox, Rows
from tests.notifications.writers import Auth, code


@pytest.mark.goal("rel-R14")
async def test_an_outcome_whose_telling_failed_is_noted_and_told_by_the_next_try(
    auth: Auth, courier: Courier, mailbox: OverheardMailbox, kari: UUID, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, failures = outbox.add, [ConnectionError(), TimeoutError()]

    async def add_at_last(conn: Connection, message: Message) -> UUID:
        if failures:
            raise failures.pop()
        return await add(conn, message)

    await auth.tell(code(kari))
    monkeypatch.setattr(outbox, "add", add_at_last)
    assert await courier.tick() == 1
    assert failures == []
    assert len(mailbox.mails.listed()) == 1
    assert [kind for kind, _ in await rows.events()] == ["notifications.MailDelivered.v1"]
