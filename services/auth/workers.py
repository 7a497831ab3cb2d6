"""The loops of auth."""

from chassis.loop import Loop
from chassis.postgres import Database
from services.auth.codes import login_codes
from services.auth.codes import store as codes
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits
from services.auth.sessions import store as sessions

POLL_SECONDS = 0.5
PRUNE_SECONDS = 60.0
CHUNK = 5_000


def loops(database: Database, *, keys: Keys, chance: Chance, limits: Limits) -> list[Loop]:
    """Make the loop that issues codes, woken when one is asked for, and the one that forgets what is over."""

    async def issue() -> int:
        async with database.transaction() as conn:
            return int(await login_codes.issue_next(conn, limits=limits, keys=keys, chance=chance))

    async def forget() -> int:
        async with database.transaction() as conn:
            return max([await prune(conn, CHUNK) for prune in (codes.prune, sessions.prune)]) // CHUNK

    issuing = Loop("codes", issue, every=POLL_SECONDS)
    database.bell.hear(login_codes.ASKED_BELL, issuing.wake)
    return [issuing, Loop("auth_prune", forget, every=PRUNE_SECONDS)]
