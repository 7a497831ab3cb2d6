"""Consume: the one way to subscribe.

Where a lane goes on stands in its database, and moves with what its messages do there (`chassis/batches.py`); the Kafka
offset is committed after it. An outage is waited out with the batch in hand. A Kafka client that fails is replaced.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import structlog
from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from opentelemetry.trace import SpanKind

from chassis import dead_letters, inbox, telemetry, tracing
from chassis.arrival import Arrival
from chassis.batches import Batches
from chassis.continuity import Continuity, Partition, extents_of
from chassis.failpoints import reach
from chassis.handlers import Handlers, Lane
from chassis.inbox import Position
from chassis.loop import backoff
from chassis.parts import Stuck
from chassis.postgres import Database, WentBack, is_outage
from chassis.reading import Failed, TolerantConsumer, Unreadable

log = structlog.get_logger()

METADATA_MS = 15_000
"""How old the client lets grow what it knows of the topics. One that was deleted belongs to nobody until it looks again."""
TRIES_APART = 5.0
CLOSE_SECONDS = 10.0
"""The most that a client which failed may take to close; another takes as long as the batch in hand."""
Records = tuple[ConsumerRecord, ...]


class Stopped(Exception):
    """The consumer was stopped while it waited out an outage, or its client is replaced; the batch comes again."""


class Consumer:
    """One lane of one service: its own consumer group, subscribed once to all topics of the lane."""

    def __init__(  # noqa: PLR0913 -- what a lane is made of.
        self,
        database: Database,
        handlers: Handlers,
        lane: Lane,
        *,
        bootstrap: str,
        topic_prefix: str = "",
        batch: int = 500,
        session_seconds: float = 10.0,
    ) -> None:
        self.lane = lane
        self._database = database
        self._handlers = handlers
        self._bootstrap = bootstrap
        self._prefix = topic_prefix
        self._batch = batch
        self._session_ms = round(session_seconds * 1000)
        self._subscriber: BatchSubscriber | None = None
        self._reached: dict[Partition, int] = {}
        self._continuity = Continuity(self._begin_anew)
        self._batches = Batches(database, handlers, lane, reached=self._reached, continuity=self._continuity)
        self._assignments = 0
        self._in_hand = 0
        self._untried: set[Partition] = set()
        self._stopping = asyncio.Event()
        self._ended: asyncio.Future[None] | None = None
        self._failures = 0
        self.assigned = asyncio.Event()
        self.consumer_group = f"{topic_prefix}{database.identity.service}.{lane}"

    def broker(self) -> tuple[KafkaBroker, BatchSubscriber]:
        """Build the FastStream broker with its one subscriber, every setting explicit (see dependencies of delivery)."""
        broker = KafkaBroker(
            self._bootstrap.split(","),  # FastStream takes a string for one server's address.
            client_id=f"samband-{self.consumer_group}",
            allow_auto_create_topics=False,
            metadata_max_age_ms=METADATA_MS,
            apply_types=False,
            graceful_timeout=15.0,
            logger=None,
        )
        listener = _Assignments(self)
        subscriber = broker.subscriber(
            *self.topics,
            batch=True,
            max_records=self._batch,
            batch_timeout_ms=1,
            group_id=self.consumer_group,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms * 3 // 10,
            max_poll_interval_ms=300_000,
            listener=listener,
            parser=listener.parse,
            decoder=_raw,
        )
        listener.subscriber = subscriber
        subscriber(self.receive)
        return broker, subscriber

    def stop(self) -> None:
        """Ask it to end: the batch in hand is finished and committed, the next is not begun."""
        self._stopping.set()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def fail(self, error: Exception) -> None:
        """Have the client replaced, for it raised this: what it had taken is read again by the next one."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    @property
    def topics(self) -> list[str]:
        """Give the names of its topics, as Kafka has them."""
        return [self._prefix + topic for topic in self._handlers.topics(self.lane)]

    @property
    def client(self) -> Any:
        """Give its Kafka client, None while it has none."""
        return self._subscriber.consumer if self._subscriber else None

    @property
    def in_hand(self) -> bool:
        """Tell whether it works, or waits out an outage: each of its steps ends by itself."""
        return self._in_hand > 0

    def reached(self) -> dict[TopicPartition, int]:
        """Give where it goes on in each partition that it has been given now, 0 where that is not known yet."""
        client = self.client
        return {p: self._reached.get(self._own(p), 0) for p in (client.assignment() if client else ())}

    async def positions(self) -> dict[TopicPartition, int]:
        """Give where this service, in whatever process, goes on in each partition that it has read."""
        async with self._database.transaction() as conn:
            known = await inbox.positions(conn, self.lane)
        return {TopicPartition(self._prefix + topic, part): found.next_offset for (topic, part), found in known.items()}

    async def look_back(self) -> int:
        """Have the client replaced where the database is behind what was read: with no new message, no claim would tell.

        A batch in hand is left alone: its own claim tells, and what waits out an outage could not be interrupted.
        """
        seen = dict(self._reached)
        async with self._database.transaction() as conn:
            known = await inbox.positions(conn, self.lane)
        for own, offset in seen.items():
            behind = (known[own].next_offset if own in known else 0) < offset
            if behind and self._reached.get(own) == offset and not self.in_hand:
                self.fail(WentBack(f"the position of {own[0]} is behind what was read of it"))
        return 0

    def _own(self, partition: TopicPartition) -> Partition:
        return partition.topic.removeprefix(self._prefix), partition.partition

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    async def run(self) -> None:
        """Consume until stopped: a Kafka that is away at the start is waited for, and a client that fails is replaced.

        Raises `Stuck` when such a client does not close: it may go on holding partitions that nobody reads.
        """
        while not self._stopping.is_set():
            broker, self._subscriber = self.broker()
            try:
                await self._read(broker)
            except Exception as error:
                self._failures += 1
                self._tell(error)
                await _close(broker)
                self._forget_all()
                await self._rest(backoff(self._failures, longest=TRIES_APART))
            else:
                await broker.stop()
        log.info("consumer_stopped", group=self.consumer_group)

    async def _read(self, broker: KafkaBroker) -> None:
        """Read until stopped; raises whatever keeps the client from starting or from reading on."""
        self._ended = asyncio.get_running_loop().create_future()
        await broker.connect()
        _make_tolerant(broker, self.set_unreadable_aside, self.fail)
        await broker.start()
        log.info("consumer_started", group=self.consumer_group)
        if not self._stopping.is_set():
            await self._ended

    def _tell(self, error: Exception) -> None:
        """Tell a failure at the start, which is mostly that Kafka is away, in fewer words than that of a client at work."""
        if self._ended is not None and self._ended.done():
            log.warning("consumer_failed", group=self.consumer_group, exc_info=error)
            telemetry.CONSUMER_FAILURES.labels(lane=self.lane).inc()
        else:
            log.warning("consumer_not_started", group=self.consumer_group, error=type(error).__name__)

    async def receive(self, records: Records) -> None:
        """Handle a batch to its end: when this returns, every message in it is handled or set aside, and committed."""
        taken = [
            Arrival.of(record, self._prefix)
            for record in records
            if (record.topic.removeprefix(self._prefix), record.partition) in self._reached
        ]
        for own, first in {(arrival.topic, arrival.partition): arrival for arrival in reversed(taken)}.items():
            if first.offset < self._reached[own] - 1:  # One before is asked for, to see the last message again.
                self._continuity.went_back(own, self._reached[own])
                self._reached[own] = first.offset
        arrivals = self._continuity.prove(taken)
        if not arrivals:
            return
        await self._finish(arrivals)
        reach("consumer.committed")

    async def set_unreadable_aside(self, partition: TopicPartition, offset: int) -> None:
        """Note a record that the client cannot decode; its bytes stay in Kafka at that offset as long as the topic keeps them."""
        if self._own(partition) not in self._reached:
            return  # It comes again, as all does that is met before the position is known.
        topic = partition.topic.removeprefix(self._prefix)
        fault = "the name of a header is not UTF-8; the record is still in Kafka at this offset"
        await self._finish([Arrival(topic, partition.partition, offset, None, None, (), fault=fault)])

    async def _finish(self, arrivals: Sequence[Arrival]) -> None:
        """Handle or set aside every message, however long it takes; raises `Stopped`."""
        started = time.perf_counter()
        partitions = {(arrival.topic, arrival.partition): arrival for arrival in arrivals}
        untried, assignment = partitions.keys() & self._untried, self._assignments
        traces = [arrival.traceparent for arrival in arrivals]
        with (
            self._holding(),
            tracing.batch(
                f"receive {self.lane}", traces, {**tracing.KAFKA, "samband.lane": self.lane}, kind=SpanKind.CONSUMER
            ),
        ):
            await self._handle_at_last(arrivals, untried)
        self._untried -= untried
        self._failures = 0
        self._batches.settle()
        if assignment == self._assignments:  # Else it goes on from where its database was, before this batch.
            self._continuity.settle(partitions)
            self._reached |= {own: last.offset + 1 for own, last in partitions.items()}
        telemetry.CONSUME_BATCH.labels(lane=self.lane).observe(time.perf_counter() - started)

    async def _handle_at_last(self, arrivals: Sequence[Arrival], untried: set[Partition]) -> None:
        failures = 0
        while True:
            try:
                await self._batches.handle(arrivals, untried)
            except WentBack as error:
                self.fail(error)
                raise Stopped from error
            except Exception as error:
                # What is no outage here could not even be set aside: losing it is no choice, so it is tried again too.
                failures += 1
                say = log.warning if is_outage(error) else log.error
                say("batch_waits", group=self.consumer_group, size=len(arrivals), error=dead_letters.describe(error))
                await self._rest(backoff(failures, longest=5.0))
                if self._stopping.is_set():
                    raise Stopped from error
            else:
                return

    def revoke(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop taking messages of partitions that went to another consumer, or whose position is not known yet."""
        self._assignments += 1
        for own in map(self._own, partitions):
            self._reached.pop(own, None)
            self._untried.discard(own)
            self._continuity.forget(own)

    def _forget_all(self) -> None:
        """Hold nothing of a client that is gone: it does not tell that its partitions are revoked."""
        self._assignments += 1
        for own in list(self._reached):
            self._continuity.forget(own)
        self._reached.clear()
        self._untried.clear()

    async def position(self, client: Any, partitions: Iterable[TopicPartition]) -> None:
        """Start newly assigned partitions from where this service's own database says, not from Kafka's idea of it."""
        with self._holding():
            known = await self._positions()
        read = [partition for partition in partitions if self._own(partition) in known]
        extents = await extents_of(client, read, session_seconds=self._session_ms / 1000)
        for partition in partitions:
            own = self._own(partition)
            # Also where nothing is known: what was fetched before this, and passed over, must come again.
            position = self._continuity.checked(own, known.get(own, Position(0)), extents.get(partition))
            client.seek(partition, self._continuity.expect(own, position))
            self._reached[own] = position.next_offset
            self._untried.add(own)
        self.assigned.set()

    def _begin_anew(self, own: Partition) -> None:
        assert self._subscriber is not None  # noqa: S101 -- it has just read from it.
        assert self._subscriber.consumer is not None  # noqa: S101 -- as above.
        self._subscriber.consumer.seek(TopicPartition(self._prefix + own[0], own[1]), 0)
        self._reached[own] = 0

    async def _positions(self) -> dict[Partition, Position]:
        failures = 0
        while True:
            try:
                async with self._database.transaction() as conn:
                    return await inbox.positions(conn, self.lane)
            except Exception as error:
                # aiokafka would swallow what is raised here and go on without positions.
                if self._stopping.is_set():
                    raise
                failures += 1
                say = log.warning if is_outage(error) else log.error
                say("positions_unknown", group=self.consumer_group, error=dead_letters.describe(error))
                await self._rest(backoff(failures, longest=5.0))

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types.
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.subscriber: BatchSubscriber | None = None

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._consumer.revoke(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        assert self.subscriber is not None  # noqa: S101 -- set before it can start.
        self._consumer.revoke(assigned)
        await self._consumer.position(self.subscriber.consumer, assigned)

    async def parse(self, records: Records) -> KafkaAckableMessage:
        """Wrap a batch untouched: FastStream's own parser loses all of it to one header that is not UTF-8."""
        assert self.subscriber is not None  # noqa: S101 -- set before it can start.
        assert self.subscriber.consumer is not None  # noqa: S101 -- it has just read these records.
        return KafkaAckableMessage(body=b"", raw_message=records, consumer=self.subscriber.consumer)


def _make_tolerant(broker: KafkaBroker, unreadable: Unreadable, failed: Failed) -> None:
    """Let the broker build consumers of our kind; it sets its own builder on connecting."""
    driver = broker.config.broker_config
    settings = cast("partial[Any]", driver.builder).keywords
    driver.builder = partial(TolerantConsumer, unreadable=unreadable, failed=failed, **settings)


async def _close(broker: KafkaBroker) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await broker.stop()
    except Exception as error:
        raise Stuck("a Kafka client failed and does not close") from error


async def _raw(message: Any) -> Any:
    """Hand the records over as they came."""
    return message.raw_message
