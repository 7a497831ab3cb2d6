"""Batches: what becomes of the messages that a lane was given.

A batch is claimed in the inbox, handled and positioned in one transaction. When anything in it fails, it is rolled back and
its messages are taken one at a time, so that one bad message costs the others nothing: it alone is set aside. What was not
tried since the start is taken one at a time from the first, and counted: a message that kills the process is among it.
"""

from collections.abc import Mapping, Sequence

import structlog

from chassis import dead_letters, inbox, telemetry
from chassis.arrival import Arrival, Broken
from chassis.continuity import Continuity, Partition, name
from chassis.dead_letters import DEATHS, DiedTooOften, Untried, Waits
from chassis.failpoints import reach
from chassis.handlers import Handlers, Hung, Lane
from chassis.inbox import Claim
from chassis.postgres import Connection, Database, is_outage

log = structlog.get_logger()


class Batches:
    """Handles the batches of one lane; `reached` and `continuity` are the consumer's, and only read."""

    def __init__(
        self,
        database: Database,
        handlers: Handlers,
        lane: Lane,
        *,
        reached: Mapping[Partition, int],
        continuity: Continuity,
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._lane = lane
        self._reached = reached
        self._continuity = continuity
        self._counted: set[tuple[str, int, int]] = set()

    def settle(self) -> None:
        """Note that the batch is done: the next trial of any of its messages would be a new one."""
        self._counted.clear()

    async def handle(self, arrivals: Sequence[Arrival], untried: set[Partition]) -> None:
        """Handle a batch together or, when that fails, one at a time; a handler that hangs is waited for only once."""
        hung: Hung | None = None
        if not untried:
            try:
                async with self._database.transaction() as conn:
                    await self.apply(conn, arrivals)
            except Exception as error:
                if is_outage(error):
                    raise
                log.info("batch_taken_apart", lane=self._lane, size=len(arrivals), error=type(error).__name__)
                hung = error if isinstance(error, Hung) else None
            else:
                return
        slow: set[str] = set()
        for arrival in arrivals:
            failure: Exception | None
            if hung is not None and arrival is hung.arrival:
                failure = await self._keep(arrival, hung)
            elif self._is_slow(slow, arrival):
                failure = await self._keep(arrival, Untried("for the retries, because the handler of its type hangs"))
            else:
                failure = await self._handle_alone(arrival, count=(arrival.topic, arrival.partition) in untried)
            if isinstance(failure, Hung) and arrival.envelope is not None:
                slow.add(arrival.envelope.type)

    def _is_slow(self, slow: set[str], arrival: Arrival) -> bool:
        if arrival.envelope is None or arrival.envelope.type not in slow:
            return False
        return self._handlers.may_wait(arrival, self._database.identity)

    async def _handle_alone(self, arrival: Arrival, *, count: bool) -> Exception | None:
        """Handle one message in a transaction of its own; gives why it was set aside, when that failed."""
        try:
            if count:
                await self._count_trial(arrival)
            async with self._database.transaction() as conn:
                await self.apply(conn, [arrival])
                if count:
                    await inbox.end_trials(conn, self._lane, arrival.topic, arrival.partition, arrival.offset)
        except Exception as error:
            if is_outage(error):
                if count:
                    await self._take_trial_back(arrival)
                raise
            return await self._keep(arrival, error)
        return None

    async def _keep(self, arrival: Arrival, error: Exception) -> Exception:
        """Set a message aside in a transaction of its own, and give its failure back."""
        async with self._database.transaction() as conn:
            claim = await self._claim(conn, [arrival])
            await inbox.end_trials(conn, self._lane, arrival.topic, arrival.partition, arrival.offset)
            if claim.fresh:
                await self._set_aside(conn, arrival, error)
        return error

    async def _count_trial(self, arrival: Arrival) -> None:
        """Count a trial before it is made: after a start, the message that killed the process is among the first."""
        trial = (arrival.topic, arrival.partition, arrival.offset)
        if trial in self._counted:
            return
        self._counted.add(trial)
        async with self._database.transaction() as conn:
            trials = await inbox.count_trial(conn, self._lane, arrival.topic, arrival.partition, arrival.offset)
        if trials > DEATHS:
            raise DiedTooOften(f"the process died at least {trials - 1} times while handling it")

    async def _take_trial_back(self, arrival: Arrival) -> None:
        """Count no trial that an outage ended: who is stopped while it waits has not died of the message."""
        async with self._database.transaction() as conn:
            await inbox.take_trial_back(conn, self._lane, arrival.topic, arrival.partition, arrival.offset)
        self._counted.discard((arrival.topic, arrival.partition, arrival.offset))

    async def apply(self, conn: Connection, arrivals: Sequence[Arrival]) -> None:
        """Act on messages in the transaction of the caller; raises what a handler raises, and `WentBack`."""
        claim = await self._claim(conn, arrivals)
        reach("consumer.claimed")
        for arrival in arrivals:
            if arrival.identity not in claim.fresh:
                self._count("duplicate")
                continue
            claim.fresh.discard(arrival.identity)
            await self._apply_one(conn, arrival, claim)
        reach("consumer.handled")

    async def _apply_one(self, conn: Connection, arrival: Arrival, claim: Claim) -> None:
        try:
            known = self._handlers.knows(arrival)
        except Broken as error:
            await self._set_aside(conn, arrival, error)
            _block(claim, arrival)
            return
        if not known:
            self._count("unknown_type")
        elif self._is_blocked(claim, arrival):
            await self._set_aside(conn, arrival, Waits("for an earlier message of its key"))
        else:
            await self._handlers.call(conn, arrival)
            self._count("handled")

    def _is_blocked(self, claim: Claim, arrival: Arrival) -> bool:
        if (arrival.topic, arrival.key_digest) not in claim.blocked or self._handlers.overtakes(arrival):
            return False
        return self._handlers.may_wait(arrival, self._database.identity)

    async def _claim(self, conn: Connection, arrivals: Sequence[Arrival]) -> Claim:
        last = {(arrival.topic, arrival.partition): arrival for arrival in arrivals}
        reached = [(*own, arrival.offset, name(arrival)) for own, arrival in last.items()]
        keys = {(arrival.topic, arrival.key_digest) for arrival in arrivals if arrival.key_digest is not None}
        messages = [arrival.identity for arrival in arrivals]
        anew = self._continuity.anew(last)
        if anew:
            await inbox.forget_positions(conn, self._lane, anew)
        seen = [0 if own in anew else self._reached.get(own, 0) for own in last]
        return await inbox.claim(conn, self._lane, messages, reached=reached, keys=list(keys), seen=seen)

    async def _set_aside(self, conn: Connection, arrival: Arrival, error: Exception) -> None:
        await dead_letters.set_aside(conn, self._lane, arrival, error)
        self._count("set_aside")

    def _count(self, outcome: str) -> None:
        telemetry.CONSUMED.labels(lane=self._lane, outcome=outcome).inc()


def _block(claim: Claim, arrival: Arrival) -> None:
    if arrival.key_digest is not None:
        claim.blocked.add((arrival.topic, arrival.key_digest))
