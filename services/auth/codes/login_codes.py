"""Login codes: exchanged for a session, once, in the browser that asked."""

from chassis.postgres import Connection
from services.auth.codes import attempts
from services.auth.codes.attempts import Attempt
from services.auth.keys import Chance, Keys
from services.auth.passwords import store as passwords
from services.auth.sessions import sessions


async def redeem(  # noqa: PLR0913 -- what is judged, and with what the session is made.
    conn: Connection, attempt: Attempt, code: str, *, keys: Keys, chance: Chance, replacing: str | None = None
) -> str:
    """Exchange a code for a session and give its token; raises `WrongCode`. Wrong passwords before it count no more (L10).

    `replacing` is the token of the session that the browser had until now.
    """
    account_id = await attempts.use(conn, attempt, code, keys=keys)
    await passwords.delete_block(conn, attempt.blocked_as)
    return await sessions.start(
        conn, account_id, browser_digest=attempt.browser_digest, keys=keys, chance=chance, replacing=replacing
    )
