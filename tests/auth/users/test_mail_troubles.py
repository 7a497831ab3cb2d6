"""A superuser sees whose address does not take mail, and it is over when the address is corrected or a mail arrives."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.notifications import MailBounced, MailDelivered
from services.auth import consumers
from services.auth.organisations.store import Organisation
from tests.auth.town import SUPERUSER, Acting, Town
from tests.auth.world import Owner

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENVELOPE: Any = None


class Post:
    """What notifications tells of mails to Kari, and what a superuser sees of it."""

    def __init__(self, town: Town, boss: Acting, kari: UUID) -> None:
        self.town, self.boss, self.kari = town, boss, kari

    async def bounced(self, version: int | None, *, minutes: int = 0, epoch: int | None = 1) -> None:
        fact = MailBounced(
            mail_id=uuid4(),
            account_id=self.kari,
            about=uuid4(),
            kind="login_code",
            smtp_code=550,
            bounced_at=NOON + timedelta(minutes=minutes),
            account_epoch=epoch,
            account_version=version,
        )
        async with self.town.conn() as conn:
            await consumers.note_mail_trouble(conn, fact, ENVELOPE)

    async def delivered(self, version: int | None, *, minutes: int) -> None:
        fact = MailDelivered(
            mail_id=uuid4(),
            account_id=self.kari,
            about=uuid4(),
            kind="login_code",
            delivered_at=NOON + timedelta(minutes=minutes),
            account_epoch=None if version is None else 1,
            account_version=version,
        )
        async with self.town.conn() as conn:
            await consumers.end_mail_trouble(conn, fact, ENVELOPE)

    async def seen(self) -> Any:
        return (await self.boss.get(f"/users/{self.kari}")).json()["mail_trouble"]


@pytest.fixture
async def ours(town: Town) -> Organisation:
    return await town.organisation()


@pytest.fixture
async def post(town: Town, ours: Organisation) -> Post:
    boss = town.acting(await town.user(ours, "boss@example.no", SUPERUSER), ours)
    return Post(town, boss, await town.user(ours, "kari@example.no"))


async def test_a_mail_that_bounced_is_shown_with_what_to_do_until_the_address_is_corrected(post: Post) -> None:
    await post.bounced(1)
    shown = await post.seen()
    assert (shown["smtp_code"], shown["noted_at"]) == (550, "2026-11-23T12:00:00Z")
    assert "correct the address" in shown["what_to_do"]
    assert [user["id"] for user in (await post.boss.get("/users", mail_trouble="true")).json()["items"]] == [
        str(post.kari)
    ]
    await post.boss.edit(post.kari, "*", full_name="Kari")
    assert await post.seen() is not None
    await post.boss.edit(post.kari, "*", address="kari.n@example.no")
    assert await post.seen() is None


async def test_a_bounce_of_an_address_that_was_corrected_since_says_nothing_of_the_new_one(post: Post) -> None:
    await post.boss.edit(post.kari, "*", address="kari.n@example.no")
    await post.bounced(1)
    assert await post.seen() is None
    await post.boss.edit(post.kari, "*", language="nn")
    await post.bounced(2)
    assert await post.seen() is not None


@pytest.mark.parametrize(("version", "epoch"), [(None, None), (9, 2)])
async def test_a_bounce_of_nobody_knows_which_address_marks_none(
    post: Post, version: int | None, epoch: int | None
) -> None:
    await post.bounced(version, epoch=epoch)
    assert await post.seen() is None


async def test_a_mail_that_arrives_later_ends_the_trouble_and_one_from_before_does_not(post: Post) -> None:
    await post.bounced(1, minutes=10)
    await post.delivered(1, minutes=5)
    assert await post.seen() is not None
    await post.bounced(1, minutes=2)
    assert (await post.seen())["noted_at"] == "2026-11-23T12:10:00Z"
    await post.delivered(1, minutes=15)
    assert await post.seen() is None


@pytest.mark.parametrize("version", [1, None])
async def test_a_mail_that_arrives_at_the_old_address_says_nothing_of_the_new_one(
    post: Post, version: int | None
) -> None:
    await post.boss.edit(post.kari, "*", address="kari.n@example.no")
    await post.bounced(2)
    await post.delivered(version, minutes=5)
    assert await post.seen() is not None
    await post.delivered(2, minutes=6)
    assert await post.seen() is None


async def test_who_is_erased_is_in_no_trouble(post: Post, owner: Owner) -> None:
    await post.bounced(1)
    await post.boss.send("DELETE", f"/users/{post.kari}")
    await post.bounced(1)
    assert await owner.fetchval("select count(*) from auth.mail_troubles") == 0
