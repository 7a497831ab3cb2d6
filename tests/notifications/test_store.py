"""The statements of notifications: each fits the schema, claims share out the work, and settling forgets the code."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis.postgres import Connection, Database
from services.notifications import store
from services.notifications.store import Mail
from tests.notifications.post import Rows
from tests.notifications.writers import Auth, account, code

STATEMENTS = {name: sql for name, sql in vars(store).items() if name.isupper() and isinstance(sql, str)}

FILL = """
insert into notifications.mails (source, message_id, message_type, kind, account_id, account_epoch, account_version, details,
    urgent, expires_at, settled_at, outcome)
select 's', n::text, 't', 'k', $1, 1, 1, '{}', true, now() + interval '1 hour',
    case when n > 5 then now() end, case when n > 5 then 'delivered' end from generate_series(1, 5000) n"""


async def claim(database: Database, limit: int = 10) -> list[Mail]:
    async with database.transaction() as conn:
        return await store.claim_mails(conn, limit=limit, seconds=60)


async def owe(conn: Connection, account_id: UUID, message_id: str, *, urgent: bool) -> None:
    await store.insert_mail(
        conn,
        source="/services/auth",
        message_id=message_id,
        message_type="auth.OtpRequested.v1",
        kind="login_code",
        account_id=account_id,
        account_epoch=1,
        account_version=1,
        details={},
        sealed_code="sealed",
        urgent=urgent,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        traceparent=None,
    )


async def test_every_statement_fits_the_migrated_schema(notifications: Database) -> None:
    assert len(STATEMENTS) > 5
    async with notifications.transaction() as conn:
        for sql in STATEMENTS.values():
            await conn.prepare(sql)


async def test_urgent_mails_go_before_others_and_then_those_that_are_due_first(
    notifications: Database, kari: UUID, rows: Rows
) -> None:
    async with notifications.transaction() as conn:
        for n, urgent in enumerate([False, True, True, False]):
            await owe(conn, kari, str(n), urgent=urgent)
    await rows.change(
        "set due_at = now() - make_interval(secs => case message_id when '3' then 20 when '2' then 10 else 5 end)"
    )
    assert [mail.message_id for mail in await claim(notifications, limit=1)] == ["2"]
    assert [mail.message_id for mail in await claim(notifications)] == ["1", "3", "0"]


async def test_claims_at_the_same_time_take_different_mails_and_do_not_wait(
    notifications: Database, auth: Auth, kari: UUID
) -> None:
    for _ in range(2):
        await auth.tell(code(kari))
    async with asyncio.timeout(4), notifications.transaction() as conn:
        (mine,) = await store.claim_mails(conn, limit=1, seconds=60)
        (other,) = await claim(notifications)
    assert mine.id != other.id
    assert await claim(notifications) == []


async def test_a_claim_counts_the_attempt_and_holds_the_mail_for_its_seconds(
    notifications: Database, auth: Auth, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    (first,) = await claim(notifications)
    assert await claim(notifications) == []
    await rows.end_leases()
    (second,) = await claim(notifications)
    assert (first.id, first.attempts, second.attempts) == (second.id, 1, 2)
    assert first.claim != second.claim


async def test_a_claim_that_was_overtaken_confirms_settles_and_postpones_nothing(
    notifications: Database, auth: Auth, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    (overtaken,) = await claim(notifications)
    await rows.end_leases()
    (holder,) = await claim(notifications)
    before = await rows.mail()
    async with notifications.transaction() as conn:
        assert not await store.confirm_claim(conn, overtaken, seconds=60)
        assert await store.settle_mail(conn, overtaken, "delivered", 250) is None
        await store.postpone_mail(conn, overtaken, seconds=60, smtp_code=450, counted=True)
    assert await rows.mail() == before
    async with notifications.transaction() as conn:
        assert await store.confirm_claim(conn, holder, seconds=60)


@pytest.mark.goal("rel-R14")
async def test_a_mail_that_expired_or_was_settled_is_not_confirmed(
    notifications: Database, auth: Auth, kari: UUID, rows: Rows
) -> None:
    for _ in range(2):
        await auth.tell(code(kari))
    expired, settled = await claim(notifications)
    async with notifications.transaction() as conn:
        await store.settle_mail(conn, settled, "delivered", 250)
    await rows.expire()
    async with notifications.transaction() as conn:
        assert not await store.confirm_claim(conn, expired, seconds=60)
        assert not await store.confirm_claim(conn, settled, seconds=60)


@pytest.mark.goal("sec-P1")
async def test_a_settled_mail_keeps_no_code_whoever_writes_it(
    notifications: Database, auth: Auth, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    (mail,) = await claim(notifications)
    with pytest.raises(asyncpg.CheckViolationError, match="mails_settled_keeps_no_code"):
        await rows.change("set settled_at = now(), outcome = 'delivered'")
    async with notifications.transaction() as conn:
        assert await store.settle_mail(conn, mail, "delivered", 250) is not None
    assert (await rows.mail())["sealed_code"] is None


async def test_an_outage_takes_the_counted_attempt_back(
    notifications: Database, auth: Auth, kari: UUID, rows: Rows
) -> None:
    await auth.tell(code(kari))
    for counted, attempts in ((False, 0), (True, 1), (False, 1), (True, 2)):
        (mail,) = await claim(notifications)
        async with notifications.transaction() as conn:
            await store.postpone_mail(conn, mail, seconds=0, smtp_code=None, counted=counted)
        assert (await rows.mail())["attempts"] == attempts


async def test_one_message_owes_one_mail(notifications: Database, kari: UUID, rows: Rows) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="mails_once_a_message"):
        async with notifications.transaction() as conn:
            await owe(conn, kari, "1", urgent=True)
            await owe(conn, kari, "1", urgent=True)
    assert await rows.mails() == []


async def test_settled_mails_are_forgotten_after_their_days_and_no_others(
    notifications: Database, auth: Auth, kari: UUID, rows: Rows
) -> None:
    old, fresh, _ = [await auth.tell(code(kari)) for _ in range(3)]
    for mail in await claim(notifications, limit=2):
        async with notifications.transaction() as conn:
            await store.settle_mail(conn, mail, "delivered", 250)
    await rows.change(f"set settled_at = now() - interval '31 days' where message_id = '{old}'")
    await rows.change(f"set settled_at = now() - interval '29 days' where message_id = '{fresh}'")
    await rows.change("set owed_at = now() - interval '90 days'")
    async with notifications.transaction() as conn:
        assert await store.prune_mails(conn, days=30, limit=100) == 1
    assert str(old) not in {mail["message_id"] for mail in await rows.mails()}
    assert len(await rows.mails()) == 2


async def test_a_claim_reads_the_mails_that_are_due_and_not_the_history(
    notifications: Database, auth: Auth, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    account_id = uuid4()
    await auth.tell(account(account_id))
    await owner.execute(FILL, account_id)
    await owner.execute("analyze notifications.mails")
    async with notifications.transaction() as conn:
        plan = "\n".join(row[0] for row in await conn.fetch("explain " + store.CLAIM_MAILS, 1, 60.0))
    assert "using mails_due on mails m" in plan
    assert "Seq Scan on mails" not in plan
