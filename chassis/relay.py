"""Relay: one leader a schema moves the outbox to Kafka, in order per key, and skips nothing.

It leads as long as its own connection holds the advisory lock. A leader that was frozen loses the connection (the server
ends a session that is idle too long) and with it the lock; what it may still get out behind its successor's back are
the same ids again, which every inbox drops.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from opentelemetry.trace import SpanKind

from chassis import outbox, telemetry, tracing
from chassis.bell import CONNECTION_ERRORS
from chassis.failpoints import reach
from chassis.kafka import NoTopic, Outcome, Sender
from chassis.loop import backoff
from chassis.outbox import Owed
from chassis.postgres import HALF_OPEN

log = structlog.get_logger()

TRY_LOCK = "select pg_try_advisory_lock(hashtextextended('relay ' || current_schema, 0))"
SESSION = {
    **HALF_OPEN,
    "synchronous_commit": "off",
    "idle_session_timeout": "15s",
    "statement_timeout": "30s",
    "lock_timeout": "2s",
}
HEARTBEAT_SECONDS = 5.0
POLL_SECONDS = 0.3
FULL_BATCH_PAUSE = 0.005
FULL_BATCH = 20
BATCH = 1000
TURN_OVER_SECONDS = 3600.0
TURN_OVER_AGAIN_SECONDS = 60.0
DEPTH_SECONDS = 5.0
LONGEST_HOLD = 60.0

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


@dataclass(slots=True)
class Hold:
    """A key or topic that Kafka refuses, until it is tried again."""

    refusals: int = 0
    until: float = 0.0

    def refuse(self) -> None:
        self.refusals += 1
        self.until = time.monotonic() + backoff(self.refusals, first=1.0, longest=LONGEST_HOLD)

    @property
    def holds(self) -> bool:
        return time.monotonic() < self.until


@dataclass(slots=True)
class Holds:
    """What Kafka refuses now. `suspects` were in a refused batch and are sent one at a time, to find which it was."""

    keys: dict[tuple[str, str], Hold] = field(default_factory=lambda: defaultdict(Hold))
    topics: dict[str, Hold] = field(default_factory=lambda: defaultdict(Hold))
    suspects: set[int] = field(default_factory=set)

    def held_keys(self) -> list[tuple[str, str]]:
        return [key for key, hold in self.keys.items() if hold.holds]

    def held_topics(self) -> list[str]:
        return [topic for topic, hold in self.topics.items() if hold.holds]

    def release(self, row: Owed) -> None:
        self.suspects.discard(row.id)
        self.keys.pop((row.topic, row.key), None)
        self.topics.pop(row.topic, None)

    def counted(self) -> dict[tuple[str, str | None], int]:
        """Give how often each key, and each topic (whose key is None), was refused."""
        found: dict[tuple[str, str | None], int] = {(topic, None): hold.refusals for topic, hold in self.topics.items()}
        found.update({place: hold.refusals for place, hold in self.keys.items()})
        return {place: refusals for place, refusals in found.items() if refusals}

    def __len__(self) -> int:
        return len(self.keys) + len(self.topics)


class Relay:
    """One process's candidate for leading a schema's outbox."""

    def __init__(self, url: str, service: str, sender: Sender, *, archive_days: int = 7) -> None:
        self._url = url
        self._service = service
        self._sender = sender
        self._archive_days = archive_days
        self._acknowledged: list[Owed] = []
        self._holds = Holds()
        self._noted: dict[tuple[str, str | None], int] | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._failures = 0

    def wake(self) -> None:
        """Say that something was committed to the outbox."""
        self._woken.set()

    def stop(self) -> None:
        """Ask it to end: it sends what is there, as long as Kafka takes it, and gives up the lead."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Lead whenever it may, until stopped; an outage of Postgres or Kafka is waited out."""
        failures = 0
        telemetry.RELAY_LEADS.labels(service=self._service).set(0)
        while not self._stopping:
            try:
                async with self.leadership() as conn:
                    failures = 0
                    await self._lead(conn)
            except CONNECTION_ERRORS as error:
                failures += 1
                log.warning("relay_lost_postgres", service=self._service, error=type(error).__name__)
                await self._rest(backoff(failures))
            finally:
                # What was acknowledged but not yet deleted is sent again by the next leader: a duplicate, never a loss.
                self._acknowledged = []
                self._lead_no_more()
        await self._sender.close()

    @asynccontextmanager
    async def leadership(self) -> "AsyncIterator[Connection]":
        """Wait for the lock on an own connection, and hold both.

        It asks again and again: a session that waits inside `pg_advisory_lock` would hold a snapshot, and no dead row
        of the outbox could be cleaned away behind it.
        """
        conn = await asyncpg.connect(
            self._url,
            timeout=5,
            command_timeout=10,
            server_settings={**SESSION, "application_name": f"samband {self._service} relay"},
        )
        try:
            while not self._stopping and not await conn.fetchval(TRY_LOCK):
                await self._wait(random.uniform(0.3, 0.6))
            yield conn
        finally:
            await _close(conn)

    def _lead_no_more(self) -> None:
        """Show nothing of the outbox: what this process saw last is not what is there."""
        telemetry.RELAY_LEADS.labels(service=self._service).set(0)
        for gauge in (telemetry.OUTBOX_DEPTH, telemetry.OUTBOX_AGE, telemetry.OUTBOX_HELD):
            gauge.remove_by_labels({"service": self._service})

    async def _lead(self, conn: "Connection") -> None:
        if self._stopping:
            return
        log.info("relay_leads", service=self._service)
        self._noted = None
        telemetry.RELAY_LEADS.labels(service=self._service).set(1)
        turned_over = measured = -TURN_OVER_SECONDS
        while True:
            now = time.monotonic()
            if now - turned_over >= TURN_OVER_SECONDS:
                turned_over = now if await self._turn_over(conn) else now - TURN_OVER_SECONDS + TURN_OVER_AGAIN_SECONDS
            if now - measured >= DEPTH_SECONDS:
                await self._measure(conn)
                measured = now
            sent = await self.tick(conn)
            if self._stopping and not sent:
                return
            await self._pause(sent)

    async def tick(self, conn: "Connection") -> int:
        """Settle what was acknowledged, read the next messages and send them; gives how many Kafka acknowledged."""
        settled = [row.id for row in self._acknowledged]
        rows = await outbox.cycle(
            conn,
            settled,
            archive=self._archive_days > 0,
            held_keys=self._holds.held_keys(),
            held_topics=self._holds.held_topics(),
            limit=BATCH,
        )
        self._acknowledged = []
        if rows:
            reach("relay.read")
            telemetry.RELAY_BATCH.observe(len(rows))
            await self._with_heartbeat(conn, self._send(rows))
            reach("relay.sent")
        await self._note_holds(conn)
        return len(self._acknowledged)

    async def _note_holds(self, conn: "Connection") -> None:
        """Write down what is held, for operators, whenever it has changed."""
        if (holds := self._holds.counted() if self._holds else {}) != self._noted:
            await outbox.replace_holds(conn, holds)
            self._noted = holds

    async def _send(self, rows: Sequence[Owed]) -> None:
        """Send one batch to each partition at once, in the order of ids; what is left over stays for the next cycle."""
        try:
            partitions = await self._by_partition(rows)
            alone = [row for row in rows if row.id in self._holds.suspects]
            if alone:
                await self._send_alone(alone)
                return
            outcomes = await asyncio.gather(
                *(self._send_batch(topic, partition, batch) for (topic, partition), batch in partitions.items())
            )
            if (
                Outcome.ACKNOWLEDGED in outcomes
            ):  # Kafka is there: what is unknown is one topic's trouble, and waits alone.
                for (topic, _), outcome in zip(partitions, outcomes, strict=True):
                    if outcome is Outcome.UNKNOWN:
                        self._hold_topic(topic)
        except (KafkaError, NoTopic, OSError, TimeoutError) as error:
            log.warning("relay_lost_kafka", service=self._service, error=type(error).__name__)
            outcomes = [Outcome.UNKNOWN]
        await self._judge(outcomes)

    async def _by_partition(self, rows: Sequence[Owed]) -> dict[tuple[str, int], list[Owed]]:
        partitions: dict[tuple[str, int], list[Owed]] = defaultdict(list)
        refused: set[str] = set()
        for row in rows:
            if row.topic in refused:
                continue
            try:
                partitions[row.topic, await self._sender.partition(row.topic, row.key)].append(row)
            except NoTopic:
                refused.add(row.topic)
                self._hold_topic(row.topic)
        return partitions

    async def _send_batch(self, topic: str, partition: int, rows: Sequence[Owed]) -> Outcome:
        outcome, taken = await self._follow(topic, partition, rows)
        match outcome:
            case Outcome.ACKNOWLEDGED:
                self._acknowledge(rows[:taken])
            case Outcome.REFUSED:
                self._holds.suspects.update(row.id for row in rows[:taken])
                if taken == 1:
                    self._hold_key(rows[0])
            case Outcome.NO_TOPIC:
                self._hold_topic(topic)
            case Outcome.UNKNOWN:
                return outcome
        return outcome

    async def _follow(self, topic: str, partition: int, rows: Sequence[Owed]) -> tuple[Outcome, int]:
        """Send, and note how long it took, also in the trace of each message."""
        where: dict[str, str | int] = {
            **tracing.KAFKA,
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(partition),
        }
        began = time.time_ns()
        with tracing.batch(f"send {topic}", [row.traceparent for row in rows], where, kind=SpanKind.PRODUCER):
            outcome, taken = await self._sender.send(topic, partition, rows)
            error = None if outcome is Outcome.ACKNOWLEDGED else outcome.value
            for row in rows[:taken]:
                if tracing.is_sampled(row.traceparent):
                    what = {**where, "messaging.message.id": str(row.message_id)}
                    tracing.note(f"send {topic}", row.traceparent, began, what, error=error)
        telemetry.RELAY_SEND.labels(outcome=outcome.value).observe((time.time_ns() - began) / 1e9)
        return outcome, taken

    async def _send_alone(self, suspects: Sequence[Owed]) -> None:
        """Send rows of a refused batch one at a time until Kafka refuses one: its key is held, nobody else's."""
        for row in suspects:
            if self._holds.keys[row.topic, row.key].holds:
                continue
            outcome = await self._send_batch(row.topic, await self._sender.partition(row.topic, row.key), [row])
            if outcome is not Outcome.ACKNOWLEDGED:
                await self._judge([outcome])
                return

    def _acknowledge(self, rows: Sequence[Owed]) -> None:
        self._acknowledged.extend(rows)
        if self._holds or self._holds.suspects:
            for row in rows:
                self._holds.release(row)
        telemetry.OUTBOX_PUBLISHED.labels(topic=rows[0].topic).inc(len(rows))

    async def _judge(self, outcomes: Sequence[Outcome]) -> None:
        failed = [outcome for outcome in outcomes if outcome is not Outcome.ACKNOWLEDGED]
        for outcome in failed:
            telemetry.RELAY_FAILURES.labels(outcome=outcome.value).inc()
        for what, held in (("key", self._holds.keys), ("topic", self._holds.topics)):
            telemetry.OUTBOX_HELD.labels(service=self._service, what=what).set(len(held))
        if not failed:
            self._failures = 0
            return
        await self._sender.discard()
        if Outcome.UNKNOWN in failed and len(failed) == len(outcomes):
            self._failures += 1
            await self._rest(backoff(self._failures, longest=5.0))

    def _hold_key(self, row: Owed) -> None:
        self._holds.keys[row.topic, row.key].refuse()
        log.error(
            "outbox_key_held",
            service=self._service,
            topic=row.topic,
            message_id=str(row.message_id),
            size=len(row.payload),
        )

    def _hold_topic(self, topic: str) -> None:
        self._holds.topics[topic].refuse()
        log.error("outbox_topic_held", service=self._service, topic=topic)

    async def _with_heartbeat(self, conn: "Connection", sending: Coroutine[None, None, None]) -> None:
        """Await Kafka with no transaction open, but keep the session alive: an idle one is taken for a frozen one."""
        task = asyncio.ensure_future(sending)
        try:
            while not task.done():
                done, _ = await asyncio.wait({task}, timeout=HEARTBEAT_SECONDS)
                if not done:
                    await conn.execute("select 1")
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _turn_over(self, conn: "Connection") -> bool:
        """Turn the archive's days over; a reader that is in the way is no reason to stop sending, for two days are ahead."""
        try:
            await outbox.turn_over(conn, self._archive_days)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError) as error:
            log.error("archive_not_turned_over", service=self._service, error=type(error).__name__)  # noqa: TRY400
            return False
        return True

    async def _measure(self, conn: "Connection") -> None:
        count, oldest = await outbox.depth(conn)
        telemetry.OUTBOX_DEPTH.labels(service=self._service).set(count)
        telemetry.OUTBOX_AGE.labels(service=self._service).set(oldest)

    async def _pause(self, sent: int) -> None:
        if sent >= FULL_BATCH:
            await asyncio.sleep(FULL_BATCH_PAUSE)
        elif sent == 0:
            await self._wait(POLL_SECONDS)

    async def _rest(self, seconds: float) -> None:
        """Wait out an outage: new commits are no reason to try sooner, only the end is."""
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            await self._wait(left)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()


async def _close(conn: "Connection") -> None:
    try:
        await conn.close(timeout=2)
    except CONNECTION_ERRORS:
        conn.terminate()
