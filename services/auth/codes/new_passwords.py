"""New passwords: set in one step with the code or the link that was mailed, never by one that is no good (U7, U9)."""

from dataclasses import dataclass
from uuid import UUID

from chassis.postgres import Connection
from services.auth.codes import attempts, challenges, store
from services.auth.codes.attempts import Attempt
from services.auth.codes.errors import WrongCode, WrongLink
from services.auth.codes.purposes import Purpose
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits
from services.auth.passwords import blocks, passwords, policy
from services.auth.passwords import store as kept
from services.auth.passwords.passwords import Way
from services.auth.people import store as people
from services.auth.sessions import sessions
from services.auth.sessions.sessions import Method


@dataclass(frozen=True, slots=True)
class Chosen:
    """A password that somebody chose, with its hash for an account, once it was found long and uncommon enough."""

    account_id: UUID
    password: str
    hashed: str


async def set_by_code(  # noqa: PLR0913 -- what is judged and set, and with what the session is made.
    conn: Connection,
    attempt: Attempt,
    code: str,
    chosen: Chosen,
    *,
    limits: Limits,
    keys: Keys,
    chance: Chance,
    replacing: str | None,
) -> str:
    """Set a password with a code, log in and give the session's token; raises `WrongCode`.

    Raises `PasswordNamesYou` for one that is made of what only the account knows: then the code is not used up.
    """
    if await people.lock_account(conn, chosen.account_id) is None:
        raise WrongCode
    account_id = await attempts.use(conn, attempt, code, keys=keys, despite_block=limits.reset_lifts_block)
    if account_id != chosen.account_id:
        raise WrongCode
    way = Way.ACTIVATION if attempt.purpose is Purpose.ACTIVATION else Way.RESET
    if not await _set(conn, chosen, way, blocked_as=attempt.blocked_as):
        raise WrongCode
    return await sessions.start(
        conn,
        account_id,
        browser_digest=attempt.browser_digest,
        keys=keys,
        chance=chance,
        method=Method.CODE,
        replacing=replacing,
    )


async def owner_of_link(
    conn: Connection, token: str, *, browser_digest: bytes, limits: Limits, keys: Keys
) -> UUID | None:
    """Find whose link may set a password in this browser just now, without using it up."""
    account_id = await store.find_link(conn, challenges.link_digest(keys, token))
    if account_id is None or limits.reset_lifts_block:
        return account_id
    return None if await blocks.holds(conn, account_id, browser_digest, keys=keys) else account_id


async def set_by_link(  # noqa: PLR0913 -- as above.
    conn: Connection, token: str, chosen: Chosen, *, browser_digest: bytes, limits: Limits, keys: Keys
) -> None:
    """Set a password with the link from a mail, in whatever browser; nobody is logged in by a link.

    Raises `WrongLink`, and as above `PasswordNamesYou`.
    """
    blocked_as = await blocks.subject_for(conn, chosen.account_id, browser_digest, keys=keys)
    blocked = await kept.is_blocked(conn, blocked_as) and not limits.reset_lifts_block
    if blocked or await people.lock_account(conn, chosen.account_id) is None:
        raise WrongLink
    account_id = await store.use_link(conn, challenges.link_digest(keys, token))
    if account_id != chosen.account_id or not await _set(conn, chosen, Way.INSTRUCTIONS, blocked_as=blocked_as):
        raise WrongLink


async def _set(conn: Connection, chosen: Chosen, way: Way, *, blocked_as: bytes) -> bool:
    policy.require_good(chosen.password, await kept.find_words(conn, chosen.account_id))
    await kept.delete_block(conn, blocked_as)
    return await passwords.set_new(conn, chosen.account_id, chosen.hashed, way)
