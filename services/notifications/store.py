"""Every SQL statement of notifications."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.postgres import Connection
from chassis.texts import Language


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that a courier has claimed. `address` is None while no contact new enough is known."""

    id: UUID
    claim: UUID
    source: str
    message_id: str
    message_type: str
    kind: str
    account_id: UUID
    details: Mapping[str, Any]
    sealed_code: str | None
    attempts: int
    owed_at: datetime
    expires_at: datetime
    address: str | None
    language: Language | None
    active: bool | None
    traceparent: str | None
    expired: bool
    contact_epoch: int | None = None
    contact_version: int | None = None
    """With the epoch: the state of the account that the address is of."""
    sealed_address: str | None = None
    """Where the message has brought the address itself, whatever the account's is."""


UPSERT_CONTACT = """
insert into contacts as c (account_id, epoch, version, active, address, language) values ($1, $2, $3, $4, $5, $6)
on conflict on constraint contacts_pk do update set epoch = excluded.epoch, version = excluded.version,
    active = excluded.active, address = excluded.address, language = excluded.language, changed_at = now()
where (c.epoch, c.version) < (excluded.epoch, excluded.version)"""


async def replace_contact(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    account_id: UUID,
    *,
    epoch: int,
    version: int,
    active: bool,
    address: str | None,
    language: Language | None,
) -> bool:
    """Keep a contact, or without address and language only that it was erased, unless a newer one is known; tells so."""
    status = await conn.execute(UPSERT_CONTACT, account_id, epoch, version, active, address, language)
    return status == "INSERT 0 1"


INSERT_MAIL = """
insert into mails (source, message_id, message_type, kind, account_id, account_epoch, account_version, details, sealed_code,
    urgent, expires_at, traceparent, sealed_address, language)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"""


async def insert_mail(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    *,
    source: str,
    message_id: str,
    message_type: str,
    kind: str,
    account_id: UUID,
    account_epoch: int,
    account_version: int,
    details: Mapping[str, Any],
    sealed_code: str | None,
    urgent: bool,
    expires_at: datetime,
    traceparent: str | None,
    sealed_address: str | None = None,
    language: Language | None = None,
) -> None:
    await conn.execute(
        INSERT_MAIL,
        source,
        message_id,
        message_type,
        kind,
        account_id,
        account_epoch,
        account_version,
        json.dumps(details),
        sealed_code,
        urgent,
        expires_at,
        traceparent,
        sealed_address,
        language,
    )


# Due, not held by another courier, and either sendable (a contact at least as new as the mail asks for) or out of time.
CLAIM_MAILS = """
with due as (
    select m.id from mails m left join contacts c on c.account_id = m.account_id
    where m.settled_at is null and m.due_at <= now() and (m.claimed_until is null or m.claimed_until < now())
      and (m.expires_at <= now() or m.owed_at < now() - interval '1 hour'
        or m.sealed_address is not null or (c.epoch, c.version) >= (m.account_epoch, m.account_version))
    order by m.urgent desc, m.due_at limit $1 for update of m skip locked
),
claimed as (
    update mails m set claim = gen_random_uuid(), claimed_until = now() + make_interval(secs => $2), attempts = attempts + 1
    from due where m.id = due.id returning m.*
)
select m.id, m.claim, m.source, m.message_id, m.message_type, m.kind, m.account_id, m.details, m.sealed_code, m.attempts,
    m.owed_at, m.expires_at, c.address,
    coalesce(c.language, m.language) as language, c.active or m.sealed_address is not null as active,
    m.traceparent, m.expires_at <= now() as expired,
    c.epoch as contact_epoch, c.version as contact_version, m.sealed_address
from claimed m left join contacts c
    on m.sealed_address is null and c.account_id = m.account_id
    and (c.epoch, c.version) >= (m.account_epoch, m.account_version)
order by m.urgent desc, m.due_at"""


async def claim_mails(conn: Connection, *, limit: int, seconds: float) -> list[Mail]:
    """Take mails that are due, urgent ones first, for some seconds; the attempt is counted. Order: as they should go."""
    return [_mail(row) for row in await conn.fetch(CLAIM_MAILS, limit, seconds)]


def _mail(row: Any) -> Mail:
    language = None if row["language"] is None else Language(row["language"])
    return Mail(**{**dict(row), "details": json.loads(row["details"]), "language": language})


CONFIRM_CLAIM = """
update mails set claimed_until = now() + make_interval(secs => $3)
where id = $1 and claim = $2 and settled_at is null and expires_at > now() returning true"""


async def confirm_claim(conn: Connection, mail: Mail, *, seconds: float) -> bool:
    """Ask, right before the text is handed over, whether the mail is still ours to send and still worth sending."""
    return bool(await conn.fetchval(CONFIRM_CLAIM, mail.id, mail.claim, seconds))


SETTLE_MAIL = """
update mails set settled_at = now(), outcome = $3, smtp_code = $4, sealed_code = null, sealed_address = null,
    claim = null, claimed_until = null
where id = $1 and settled_at is null and claim = $2 returning settled_at"""


async def settle_mail(conn: Connection, mail: Mail, outcome: str, smtp_code: int | None) -> datetime | None:
    """Note for good what became of a mail; None when another courier did."""
    moment: datetime | None = await conn.fetchval(SETTLE_MAIL, mail.id, mail.claim, outcome, smtp_code)
    return moment


SETTLE_SENT_MAIL = """
update mails set settled_at = now(), outcome = $2, sealed_code = null, sealed_address = null,
    claim = null, claimed_until = null
where id = $1 and settled_at is null"""


async def settle_sent_mail(conn: Connection, mail_id: UUID, outcome: str) -> bool:
    """Note what became of a mail in a time that the database has lost; False where it does not wait."""
    return await conn.execute(SETTLE_SENT_MAIL, mail_id, outcome) == "UPDATE 1"


POSTPONE_MAIL = """
update mails set claim = null, claimed_until = null, due_at = now() + make_interval(secs => $3), smtp_code = $4,
    attempts = attempts - case when $5 then 0 else 1 end
where id = $1 and claim = $2"""


async def postpone_mail(conn: Connection, mail: Mail, *, seconds: float, smtp_code: int | None, counted: bool) -> None:
    """Give a mail back to be tried later; an outage (`counted` false) is not the mail's fault."""
    await conn.execute(POSTPONE_MAIL, mail.id, mail.claim, seconds, smtp_code, counted)


PRUNE_MAILS = """
delete from mails where id in (select id from mails where settled_at < now() - make_interval(days => $1) limit $2)"""


async def prune_mails(conn: Connection, *, days: int, limit: int) -> int:
    status = await conn.execute(PRUNE_MAILS, days, limit)
    return int(status.rpartition(" ")[2])
