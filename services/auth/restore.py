"""Restore: what becomes of accounts, rights, codes and sessions when the database goes back to an earlier time."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from chassis import outbox, voids
from chassis.arrival import Broken
from chassis.ghosts import Ghost
from chassis.handlers import read
from chassis.postgres import Connection
from contracts.auth import (
    AccountChanged,
    AccountErased,
    OrganisationChanged,
    PasswordChanged,
    RightsChanged,
    TokensVoided,
)
from contracts.message import Message
from services.auth.codes import store as codes
from services.auth.organisations import organisations
from services.auth.passwords import store as passwords
from services.auth.people import accounts, security
from services.auth.people.errors import NoSuchAccount
from services.auth.rights import grants
from services.auth.sessions import store as sessions
from services.auth.users import users

M = TypeVar("M", bound=Message)


async def end_all(conn: Connection) -> Mapping[str, int]:
    """End every open code and session: some were used, ended or tried against in the time that is lost (sec-A1, sec-A10).

    With a session end its refresh tokens. No access token from before is good for those accounts: the epoch has been raised.
    """
    codes_ended, ended = await codes.end_all(conn), await sessions.end_all(conn)
    for each in ended:
        voided = TokensVoided(account_id=each.account_id, below_epoch=each.below_epoch, voided_at=each.ended_at)
        await voids.note(conn, voided)
        await outbox.add(conn, voided)
    return {"codes_ended": codes_ended, "sessions_ended": sum(each.count for each in ended)}


async def settle(conn: Connection, ghost: Ghost) -> str | None:
    """Do again what the lost time ended (accounts, rights), and let readers forget what only came into being in it.

    A password that was changed in it does not come back: others may have known it. Whoever was switched off in it stays off,
    until somebody who knows why switches them on.
    """
    match ghost.type:
        case AccountChanged.type | AccountErased.type | PasswordChanged.type:
            return await _settle_account(conn, ghost)
        case OrganisationChanged.type:
            told = _read(OrganisationChanged, ghost)
            closed = told is not None and await organisations.disown(conn, told)
            return "readers told that the organisation is closed" if closed else None
        case RightsChanged.type:
            rights = _read(RightsChanged, ghost)
            return None if rights is None else await grants.settle(conn, rights)
        case _:
            return None


async def _settle_account(conn: Connection, ghost: Ghost) -> str | None:
    assert ghost.arrival.envelope is not None  # noqa: S101 -- it has told the type.
    try:
        account_id = UUID(ghost.arrival.envelope.subject)
    except ValueError:
        return None
    if ghost.type == PasswordChanged.type:
        return "older password taken away" if await passwords.delete_password(conn, account_id) else None
    if ghost.type == AccountErased.type:
        with suppress(NoSuchAccount):  # It only came into being in the lost time.
            await users.erase_account(conn, account_id)
            return "account erased again"
    elif await _switch_off(conn, account_id, ghost):
        return "account switched off again"
    return "readers told to forget the account" if await accounts.disown(conn, account_id) else None


async def _switch_off(conn: Connection, account_id: UUID, ghost: Ghost) -> bool:
    told = _read(AccountChanged, ghost)
    if told is None or told.active or not await accounts.switch_off(conn, account_id):
        return False
    await security.void_tokens(conn, account_id)
    return True


def _read(model: type[M], ghost: Ghost) -> M | None:
    """Read what a ghost tells; None for what no service of ours can have written."""
    try:
        return read(model, ghost.arrival)
    except Broken:
        return None
