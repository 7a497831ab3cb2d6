"""Postgres: the service's pool, and the one way to open a transaction."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import structlog

from chassis import scope, telemetry
from chassis.bell import Bell
from chassis.loop import backoff
from chassis.scope import Scope
from chassis.sealing import Keyring
from chassis.systems import Systems

log = structlog.get_logger()

COMMAND_SECONDS = 10.0
ACQUIRE_SECONDS = 10.0
CLOSE_SECONDS = 5.0
HALF_OPEN = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""How Postgres finds within half a minute that a client is gone together with its network; by itself TCP takes a quarter of
an hour, and what the client has locked stays locked as long."""
SESSION = {
    **HALF_OPEN,
    "statement_timeout": "15s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "60s",
}


class WentBack(Exception):
    """The database is behind what this process has seen it say: it was restored, or failed over to one that was behind."""


_OUTAGES = (
    WentBack,
    OSError,  # TimeoutError and ConnectionError among them.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_BUGS = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, FileExistsError, asyncpg.DataError)
"""Errors of these families that no waiting mends."""


def is_outage(error: BaseException) -> bool:
    """Tell whether the database (or the way to it) failed, so that the same work may succeed later unchanged."""
    return isinstance(error, _OUTAGES) and not isinstance(error, _BUGS)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose connections these are: what the outbox and the inbox must know of their service."""

    service: str
    keyring: Keyring
    largest_message: int = 900_000
    """Bytes; below the broker's `max.message.bytes`."""
    systems: Systems = field(default_factory=Systems)
    """Who outside may ask for something here."""
    clock_skew: float = 60.0
    """Seconds by which the clock of a system may be ahead."""


@dataclass(slots=True)
class Context:
    """What a transaction knows besides SQL."""

    identity: Identity | None = None
    cause: str | None = None
    """The id of the message being handled."""
    rings: set[str] = field(default_factory=set)
    """The bells to ring after the commit."""
    scope: Scope | None = None
    """What Postgres was told of whose rows are seen."""

    def begin(self, identity: Identity) -> None:
        self.identity, self.cause, self.scope = identity, None, None
        self.rings.clear()


if TYPE_CHECKING:
    _Base = asyncpg.Connection[asyncpg.Record]
else:
    _Base = asyncpg.Connection


class Connection(_Base):
    """A connection with its transaction's `context`."""

    __slots__ = ("context",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context = Context()

    def get_reset_query(self) -> str:
        """Say that nothing must be undone between two transactions, which spares a round trip after each.

        Nothing that is done on a pool's connection outlives its transaction; tests/chassis/test_leftovers.py looks at
        every statement.
        """
        return ""


SET_SCOPE = "select set_config('samband.scope', $1, true)"


async def set_scope(conn: Connection, wanted: Scope) -> None:
    """See the rows of this scope to the end of the transaction; not for a savepoint, whose end would take it back unseen."""
    if conn.context.scope != wanted:
        await conn.execute(SET_SCOPE, wanted.setting)
        conn.context.scope = wanted


class Database:
    """The pool of one service in one process; `open_database` makes one."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", bell: Bell, identity: Identity) -> None:
        self._pool = pool
        self.bell = bell
        self.identity = identity
        self.waiting = 0
        """Transactions that wait for a connection."""

    @property
    def in_use(self) -> int:
        """Count the connections on which somebody works."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction: committed when the block ends, rolled back when it raises; then the bells ring.

        It sees the rows of the scope that was entered (`chassis/scope.py`), and no longer than to its end.
        Raises what `is_outage` recognises when Postgres cannot be reached. After a connection that broke during the
        commit the outcome is unknown: an inbox row or an idempotency key settles it.
        """
        async with AsyncExitStack() as stack:
            conn = await self._begin(stack)
            if (wanted := scope.current()) is not None:
                await set_scope(conn, wanted)
            yield conn
            rings = set(conn.context.rings)
        if rings:
            self.bell.ring(rings)

    async def _begin(self, stack: AsyncExitStack) -> Connection:
        """Take a connection and begin on it; a dead one, on which nothing was done yet, is given back for another."""
        for _ in range(self._pool.get_max_size() + 1):
            async with AsyncExitStack() as attempt:
                started = time.perf_counter()
                self.waiting += 1
                try:
                    proxy = await attempt.enter_async_context(self._pool.acquire(timeout=ACQUIRE_SECONDS))
                finally:
                    self.waiting -= 1
                telemetry.POOL_WAIT.observe(time.perf_counter() - started)
                conn = cast("Connection", proxy)
                conn.context.begin(self.identity)
                try:
                    await attempt.enter_async_context(conn.transaction())
                except (
                    asyncpg.InternalClientError
                ):  # The server's good-bye has come, the end of the connection not yet.
                    conn.terminate()
                    continue
                # lint: allow swallowed -- another connection is tried; that all are dead is raised below
                except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
                    continue
                stack.push_async_exit(attempt.pop_all())
                return conn
        raise asyncpg.InterfaceError("no connection of the pool is alive")

    async def ping(self) -> None:
        """Raise an outage if Postgres does not answer within two seconds."""
        async with asyncio.timeout(2), self._pool.acquire() as conn:
            await conn.execute("select 1")


@asynccontextmanager
async def open_database(url: str, identity: Identity, *, size: int = 10, role: str = "") -> AsyncIterator[Database]:
    """Open the pool and the bell, waiting with back-off until Postgres answers; close both at the end."""
    pool = await _connect(url, identity, size, role)
    bell = Bell(url, identity.service)
    ringing = asyncio.create_task(bell.run(), name="bell")
    database = Database(pool, bell, identity)
    telemetry.POOL_SIZE.labels(service=identity.service).set(size)
    telemetry.POOL_IN_USE.labels(service=identity.service).set_function(lambda: database.in_use)
    telemetry.POOL_WAITING.labels(service=identity.service).set_function(lambda: database.waiting)
    try:
        yield database
    finally:
        ringing.cancel()
        await asyncio.gather(ringing, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            log.warning("pool_closed_with_work_under_way", service=identity.service)
            pool.terminate()


async def _connect(url: str, identity: Identity, size: int, role: str) -> "asyncpg.Pool[asyncpg.Record]":
    failures = 0
    while True:
        try:
            return await asyncpg.create_pool(
                url,
                min_size=min(2, size),
                max_size=size,
                timeout=5,
                command_timeout=COMMAND_SECONDS,
                connection_class=Connection,
                server_settings={**SESSION, "application_name": f"samband {identity.service} {role}".rstrip()},
            )
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as error:
            failures += 1
            log.warning("postgres_unreachable", service=identity.service, failures=failures, error=type(error).__name__)
            await asyncio.sleep(backoff(failures))
