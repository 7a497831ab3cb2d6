"""Security: what makes all that an account is logged in with worth nothing any more, in every service (sec-A10)."""

from uuid import UUID

import structlog

from chassis import outbox, voids
from chassis.failpoints import reach
from chassis.postgres import Connection
from contracts.auth import TokensVoided
from services.auth.people import store

log = structlog.get_logger()


async def void_codes(conn: Connection, account_id: UUID) -> None:
    """Let no code or link that lies in a mailbox do anything any more; the caller has locked the account."""
    await store.void_codes(conn, account_id)


async def void_tokens(conn: Connection, account_id: UUID, *, except_session: UUID | None = None) -> None:
    """End an account's sessions, but for one if it is named, and tell every service that its access tokens are void.

    Auth itself knows it at once, whether or not the bus is there. The session that is left goes on with new tokens. An
    account that is no more has none.
    """
    raised = await store.raise_security_epoch(conn, account_id, except_session=except_session)
    if raised is None:
        return
    below, moment = raised
    voided = TokensVoided(account_id=account_id, below_epoch=below, voided_at=moment)
    await voids.note(conn, voided)
    await outbox.add(conn, voided)
    reach("tokens.voided")
    log.info("tokens_voided", account_id=str(account_id))
