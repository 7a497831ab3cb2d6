"""Blocks: after several wrong passwords in a row nothing is compared for a while, and the person is told (L7-L11, sec-A7).

Counted by account for all devices that it does not know together, and for each known device by itself, so that a stranger
keeps nobody out of a known device (sec-A8). What nobody has is counted too, by what was typed: it looks the same (sec-A9).
"""

from uuid import UUID

import structlog

from chassis import outbox
from chassis.failpoints import reach
from chassis.postgres import Connection
from contracts.auth import AccountBlocked
from services.auth import telemetry
from services.auth.keys import Keys
from services.auth.passwords import store
from services.auth.passwords.store import Candidate
from services.auth.people import store as people
from services.auth.people.user_names import Login

log = structlog.get_logger()

NOTICES_A_DAY = 3


def subject_of(keys: Keys, candidate: Candidate, login: Login | None, browser_digest: bytes) -> bytes:
    """Name who is counted, without saying who it is."""
    if candidate.account_id is None:
        return keys.digest("guesses at nobody", login or "")
    device = browser_digest.hex() if candidate.known_device else "unknown"
    return keys.digest("guesses", str(candidate.account_id), device)


async def subject_for(conn: Connection, account_id: UUID, browser_digest: bytes, *, keys: Keys) -> bytes:
    """Name who is counted when a browser shows something of an account."""
    known = await store.is_known_device(conn, account_id, browser_digest)
    return subject_of(keys, Candidate(account_id, known_device=known), None, browser_digest)


async def holds(conn: Connection, account_id: UUID, browser_digest: bytes, *, keys: Keys) -> bool:
    """Tell whether an account is blocked in a browser."""
    return await store.is_blocked(conn, await subject_for(conn, account_id, browser_digest, keys=keys))


async def tell_next(conn: Connection) -> bool:
    """Owe the mail about a block that is in force; False when there is none. One a block, and three a day at the most."""
    block = await store.claim_block(conn)
    if block is None:
        return False
    account = await people.lock_account(conn, block.account_id)
    due = account is not None and account.active
    if account is None or not due or not await store.insert_notice(conn, account.id, most=NOTICES_A_DAY):
        telemetry.BLOCKS.labels(outcome="not_told").inc()
        log.info("block_not_told", account_id=str(block.account_id))
        return True
    await outbox.add(
        conn,
        AccountBlocked(
            account_id=account.id, account_epoch=account.epoch, account_version=account.version, until=block.until
        ),
    )
    reach("blocks.told")
    telemetry.BLOCKS.labels(outcome="told").inc()
    log.info("block_told", account_id=str(account.id))
    return True


async def lift(conn: Connection, account_id: UUID, *, reason: str) -> int:
    """Lift an account's blocks on all devices; gives how many were in force."""
    lifted = await store.delete_blocks_of_account(conn, account_id)
    log.info("blocks_lifted", account_id=str(account_id), count=lifted, reason=reason)
    return lifted
