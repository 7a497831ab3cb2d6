"""Restore: what becomes of mails when the database goes back to an earlier time, for no mail can be called back."""

from pydantic import ValidationError

from chassis import inbox
from chassis.ghosts import Ghost
from chassis.postgres import Connection
from contracts import topics
from contracts.notifications import MailBounced, MailDelivered
from services.notifications import access_mails, account_mails, code_mails, store

SOURCES = dict.fromkeys(
    (*code_mails.KINDS.values(), code_mails.LINK, *account_mails.KINDS, *access_mails.TO_WHOEVER_ORDERED),
    f"/services/{topics.CODES.owner}",
)
"""Who asks for the mails of a kind, one for each message; one message to many comes again to those who had it too."""
OUTCOMES: dict[str, tuple[type[MailDelivered | MailBounced], str]] = {
    MailDelivered.type: (MailDelivered, "delivered"),
    MailBounced.type: (MailBounced, "bounced"),
}


async def settle(conn: Connection, ghost: Ghost) -> str | None:
    """Take a mail for sent that a ghost tells of: whether it waits here, or the message that wants it will come again."""
    if ghost.type not in OUTCOMES:
        return None
    model, outcome = OUTCOMES[ghost.type]
    try:
        told = model.model_validate_json(ghost.arrival.value or b"")
    except ValidationError:
        return None
    waited = await store.settle_sent_mail(conn, told.mail_id, outcome)
    fresh = told.kind in SOURCES and await inbox.note(conn, SOURCES[told.kind], str(told.about))
    return f"mail noted as {outcome}" if waited or fresh else None
