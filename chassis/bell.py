"""Bell: after a commit, tell the loops that there is work, without a NOTIFY inside the business transaction.

`NOTIFY` in the transaction takes a lock that serialises commits. So the commit comes first, then a bell on its own
connection rings, coalesced: at most one notification is on its way, a millisecond apart. A bell that is not heard costs
latency only, because every loop also polls.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

import asyncpg
import structlog

from chassis.loop import backoff

log = structlog.get_logger()

APART = 0.001
CONNECTION_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection of one's own may raise; the last one when the server's good-bye comes in the middle of a command."""


class Bell:
    """One process's end of the bells of one schema: rings them and hears them, over one own connection."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._hearers: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self._rung: set[str] = set()
        self._wanted = asyncio.Event()
        self._lost = asyncio.Event()
        self._failures = 0

    def hear(self, name: str, hearer: Callable[[], None]) -> None:
        """Call `hearer` whenever `name` rings, here or in another process."""
        self._hearers[name].append(hearer)
        self._wanted.set()

    def ring(self, names: Iterable[str]) -> None:
        """Ring, after a commit: at once for hearers in this process, very soon for the others."""
        for name in names:
            for hearer in self._hearers[name]:
                hearer()
            self._rung.add(name)
        self._wanted.set()

    async def run(self) -> None:
        """Keep the connection up, send what was rung, hear what others ring; until cancelled."""
        while True:
            try:
                await self._serve()
            except CONNECTION_ERRORS as error:
                self._failures += 1
                log.warning("bell_lost", schema=self._schema, error=type(error).__name__)
                await asyncio.sleep(backoff(self._failures))

    async def _serve(self) -> None:
        conn = await asyncpg.connect(self._url, timeout=10, command_timeout=10)
        self._lost.clear()
        self._failures = 0
        conn.add_termination_listener(lambda _: self._wake_lost())
        try:
            self._wanted.set()
            await self._ring_and_listen(conn)
        finally:
            conn.terminate()

    async def _ring_and_listen(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        listened: set[str] = set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._lost.is_set():
                raise ConnectionError("the bell's connection was closed")
            for name in set(self._hearers) - listened:
                await conn.add_listener(self._channel(name), self._hearer(name, conn.get_server_pid()))
                listened.add(name)
            rung, self._rung = self._rung, set()
            for name in sorted(rung):
                await conn.execute("select pg_notify($1, '')", self._channel(name))
            await asyncio.sleep(APART)

    def _wake_lost(self) -> None:
        self._lost.set()
        self._wanted.set()

    def _channel(self, name: str) -> str:
        return f"{self._schema}_{name}"

    def _hearer(self, name: str, own: int) -> Callable[..., None]:
        def heard(_conn: object, pid: int, _channel: str, _payload: object) -> None:
            if pid != own:
                for hearer in self._hearers[name]:
                    hearer()

        return heard
