"""Restore: what becomes of accounts, codes and sessions when the database goes back to an earlier time."""

from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from chassis import outbox
from chassis.ghosts import Ghost
from chassis.postgres import Connection
from contracts.auth import AccountChanged, AccountErased, PasswordChanged, TokensVoided
from services.auth.codes import store as codes
from services.auth.passwords import store as passwords
from services.auth.people import accounts
from services.auth.people.errors import NoSuchAccount
from services.auth.sessions import store as sessions

OF_ACCOUNTS = frozenset({AccountChanged.type, AccountErased.type, PasswordChanged.type})


async def end_all(conn: Connection) -> Mapping[str, int]:
    """End every open code and session: some were used, ended or tried against in the time that is lost (sec-A1, sec-A10).

    With a session end its refresh tokens. No access token from before is good for those accounts: the epoch has been raised.
    """
    codes_ended, ended = await codes.end_all(conn), await sessions.end_all(conn)
    for each in ended:
        await outbox.add(
            conn,
            TokensVoided(account_id=each.account_id, below_epoch=each.below_epoch, voided_at=each.ended_at),
        )
    return {"codes_ended": codes_ended, "sessions_ended": sum(each.count for each in ended)}


async def settle(conn: Connection, ghost: Ghost) -> str | None:
    """Erase again who was erased in the lost time, and let readers forget who only came into being in it.

    A password that was changed in it does not come back: others may have known it.
    """
    if ghost.type not in OF_ACCOUNTS or ghost.arrival.envelope is None:
        return None
    try:
        account_id = UUID(ghost.arrival.envelope.subject)
    except ValueError:
        return None
    if ghost.type == PasswordChanged.type:
        return "older password taken away" if await passwords.delete_password(conn, account_id) else None
    if ghost.type == AccountErased.type:
        with suppress(NoSuchAccount):  # It only came into being in the lost time.
            await accounts.erase(conn, account_id)
            return "account erased again"
    return "readers told to forget the account" if await accounts.disown(conn, account_id) else None
