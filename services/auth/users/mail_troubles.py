"""Mail troubles: whose present address does not take mail, shown to superusers until it is corrected or a mail arrives."""

import structlog

from chassis.postgres import Connection
from contracts.notifications import MailBounced, MailDelivered
from services.auth.users import store

log = structlog.get_logger()


async def note(conn: Connection, bounced: MailBounced) -> None:
    """Note that an address did not take a mail, unless it was corrected since, or nobody knows which address that was."""
    if bounced.account_epoch is None or bounced.account_version is None:
        log.info("mail_trouble_of_unknown_address", account_id=str(bounced.account_id))
        return
    noted = await store.note_trouble(
        conn,
        bounced.account_id,
        epoch=bounced.account_epoch,
        version=bounced.account_version,
        mail_id=bounced.mail_id,
        smtp_code=bounced.smtp_code,
        noted_at=bounced.bounced_at,
    )
    log.info("mail_trouble_noted" if noted else "mail_trouble_is_over", account_id=str(bounced.account_id))


async def end(conn: Connection, delivered: MailDelivered) -> None:
    """Forget a trouble that is older than a mail that arrived at the same address."""
    if delivered.account_epoch is None or delivered.account_version is None:
        return
    if await store.end_trouble(
        conn,
        delivered.account_id,
        epoch=delivered.account_epoch,
        version=delivered.account_version,
        before=delivered.delivered_at,
    ):
        log.info("mail_trouble_ended", account_id=str(delivered.account_id))
