"""Voids: which access tokens are void though they have not expired, known in every api process without asking (sec-A10).

The worker hears of them in its urgent lane and notes them; each api process mirrors the notes of the last minutes in
memory: loaded before it is ready, read on at the bell and every second. Nothing is kept that outlives every token.
"""

import time
from collections.abc import Iterable, Mapping
from uuid import UUID

import structlog

from chassis.handlers import Handlers, Lane
from chassis.loop import Loop
from chassis.postgres import Connection, Database, is_outage
from chassis.settings import LARGEST_CLOCK_SKEW
from chassis.tokens import LONGEST_SECONDS, Claims
from contracts.auth import TokensVoided
from contracts.message import Envelope

log = structlog.get_logger()

BELL = "voided_tokens"
EVERY_SECONDS = 1.0
"""Between two looks, where the bell is not heard."""
ANEW_SECONDS = 60.0
"""Between two looks at all that there is; those between read what is new, for where there is much, nothing else would be done."""
CHUNK = 1_000
"""Rows that are read at once: requests are answered in between."""
KEPT_SECONDS = LONGEST_SECONDS + LARGEST_CLOCK_SKEW
"""How long a note matters: the longest life of a token, from the clock that is furthest ahead."""


class Voids:
    """One process's mirror; until it was loaded, nobody knows which tokens are good."""

    def __init__(self) -> None:
        self.loaded = False
        self._sessions: set[UUID] = set()
        self._epochs: dict[UUID, int] = {}

    def update(self, sessions: Iterable[UUID], epochs: Mapping[UUID, int]) -> None:
        """Take these for all that are void: tokens of sessions, and those of accounts below an epoch."""
        self._sessions, self._epochs, self.loaded = set(sessions), dict(epochs), True

    def add(self, sessions: Iterable[UUID], epochs: Mapping[UUID, int]) -> None:
        """Take these besides."""
        self._sessions.update(sessions)
        for account_id, epoch in epochs.items():
            self._epochs[account_id] = max(epoch, self._epochs.get(account_id, 0))

    def hold(self, claims: Claims) -> bool:
        """Tell whether a token is void; a system's never is, it is not asked for anew by signing in."""
        if claims.session_id in self._sessions:
            return True
        account_id = claims.account_id
        return account_id is not None and (claims.epoch or 0) < self._epochs.get(account_id, 0)


def hear(handlers: Handlers) -> None:
    """Have a service's worker note which tokens are void; for the `consumers.py` of every service with callers."""
    handlers.on(TokensVoided, lane=Lane.URGENT)(note_voided_tokens)


def are_heard(handlers: Handlers) -> bool:
    """Tell whether a service notes which tokens are void."""
    return any(message is TokensVoided for _, message, _ in handlers.registered())


def mirror(database: Database, voids: Voids) -> Loop:
    """Make the loop that keeps a process's mirror true."""
    loop = Loop("voided_tokens", _Mirror(database, voids).tick, every=EVERY_SECONDS)
    database.bell.hear(BELL, loop.wake)
    return loop


class _Mirror:
    """Looks at all that was noted, and then at what came since."""

    def __init__(self, database: Database, voids: Voids) -> None:
        self._database = database
        self._voids = voids
        self._horizon = 0
        self._anew_at = 0.0

    async def tick(self) -> int:
        try:
            await self._look()
        except (
            Exception
        ) as error:  # A loop that fails waits longer and longer: here it must be true at once when all is back.
            self._anew_at = 0.0  # It may be another server that comes back.
            if not is_outage(error):
                raise
            log.warning("voided_tokens_not_read", error=type(error).__name__)
        return 0

    async def _look(self) -> None:
        async with self._database.transaction() as conn:
            horizon = await find_horizon(conn)  # First: what commits after this is read the next time too.
            anew = horizon < self._horizon or time.monotonic() >= self._anew_at
            found = await find_voided(conn, since=0 if anew else self._horizon)
        if anew:
            self._voids.update(*found)
            self._anew_at = time.monotonic() + ANEW_SECONDS
        else:
            self._voids.add(*found)
        self._horizon = horizon


# What came too late to void anything is not kept. An epoch is never lowered by what comes out of order.
NOTE_VOIDED = """
insert into voided_tokens (account_id, session_id, below_epoch)
select $1, $2, $3 where $4::timestamptz > now() - make_interval(secs => $5)
on conflict on constraint voided_tokens_once do update set
    below_epoch = greatest(voided_tokens.below_epoch, excluded.below_epoch), noted_at = now(),
    noted_in = pg_current_xact_id()"""


async def note_voided_tokens(conn: Connection, message: TokensVoided, _: Envelope) -> None:
    """Note which tokens are void; every api process of this service knows it right after the commit."""
    await note(conn, message)


async def note(conn: Connection, message: TokensVoided) -> None:
    """Note in the caller's transaction which tokens are void, also where no message came: in the service that decides it."""
    which = message.account_id, message.session_id, message.below_epoch
    await conn.execute(NOTE_VOIDED, *which, message.voided_at, KEPT_SECONDS)
    conn.context.rings.add(BELL)


SELECT_HORIZON = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


async def find_horizon(conn: Connection) -> int:
    """Give the oldest transaction that is under way: what one before it has noted, whoever looks now can see."""
    return int(await conn.fetchval(SELECT_HORIZON))


SELECT_VOIDED = """
select account_id, session_id, below_epoch from voided_tokens
where noted_in >= $2::bigint::text::xid8 and noted_at > now() - make_interval(secs => $1)"""


async def find_voided(conn: Connection, *, since: int = 0) -> tuple[set[UUID], dict[UUID, int]]:
    """Give the sessions whose tokens are void, and for accounts the epoch below which theirs are, as noted since a horizon."""
    sessions, epochs = set[UUID](), dict[UUID, int]()
    async for account_id, session_id, below_epoch in conn.cursor(SELECT_VOIDED, KEPT_SECONDS, since, prefetch=CHUNK):
        if session_id is not None:
            sessions.add(session_id)
        else:
            epochs[account_id] = below_epoch
    return sessions, epochs


PRUNE = """
delete from voided_tokens where ctid in (
    select ctid from voided_tokens where noted_at < now() - make_interval(secs => $1) limit $2)"""


async def prune(conn: Connection, limit: int) -> int:
    """Forget what no token can be void by any more, a bounded number at a time; gives how many."""
    return int((await conn.execute(PRUNE, KEPT_SECONDS, limit)).rpartition(" ")[2])
