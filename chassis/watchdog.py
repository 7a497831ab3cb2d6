"""Watchdog: a lane that could read and does not makes its process leave; an outage is no reason (rel-R13).

A look first asks the lane itself. Only where that has not moved and holds nothing in hand, Kafka is asked, over a fresh
client and never over the one that may be frozen, and Postgres and the group's coordinator must answer too. Only a
partition that stands where it stood at the look before is counted. After as many looks in a row as make up the seconds, a
fresh client must really get a record that the lane did not: only then the lane is stuck. Looks are counted, not seconds:
a process that was itself stopped for a while is not taken for a stuck one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import for_code

from chassis import standing, telemetry
from chassis.clients import AIOKafkaAdminClient, AIOKafkaConsumer
from chassis.parts import Stuck

log = structlog.get_logger()

LOOKS = 6
LOOK_SECONDS = 10.0
READ_MS = 3_000
CLIENT_ID = "samband-watchdog"
MEMBERS_READ = "Stable"
NOBODY_READS = {"Empty", "Dead"}
"""The other states are those of a group that shares its partitions out, and reads none until it has."""
Offsets = dict[TopicPartition, int]


class Watched(Protocol):
    """A consumer, as the watchdog sees it."""

    @property
    def consumer_group(self) -> str: ...
    @property
    def topics(self) -> list[str]: ...
    @property
    def in_hand(self) -> bool: ...
    def reached(self) -> Offsets: ...
    async def positions(self) -> Offsets: ...


@dataclass(slots=True)
class Lane:
    """What the looks at one consumer have found: where its lane was, and how often in a row more was there to read."""

    consumer: Watched
    reached: Offsets = field(default_factory=dict)
    looks: dict[TopicPartition, int] = field(default_factory=dict)


class Watchdog:
    """Looks at a worker's consumers; `run` raises `Stuck` when one of them is."""

    def __init__(
        self, consumers: Sequence[Watched], ping: Callable[[], Awaitable[object]], *, bootstrap: str, seconds: float
    ) -> None:
        self._lanes = [Lane(consumer) for consumer in consumers]
        self._ping = ping
        self._bootstrap = bootstrap
        self._every = seconds / LOOKS
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()

    async def run(self) -> None:
        """Look until stopped; raises `Stuck` once the seconds have passed, and at most two looks later."""
        while not self._stopping.is_set():
            for lane in self._lanes:
                await self.look(lane)
            try:
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def look(self, lane: Lane) -> None:
        """Look once, and show how often in a row more was there to read."""
        try:
            await self._look(lane)
        finally:
            telemetry.UNREAD_LOOKS.labels(group=lane.consumer.consumer_group).set(max(lane.looks.values(), default=0))

    async def _look(self, lane: Lane) -> None:
        """Look once; what cannot be seen, because Kafka or Postgres does not answer, begins the count anew."""
        own = lane.consumer.reached()
        if lane.consumer.in_hand or (own and not _unmoved(lane.reached, own)):
            lane.reached = own
            lane.looks.clear()
            return
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._ping()
                before, lane.reached = lane.reached, await self._reached(lane.consumer)
                unread = await self._unread(_unmoved(before, lane.reached))
                lane.looks = {partition: lane.looks.get(partition, 0) + 1 for partition in unread}
                stuck = await self._stuck(lane, unread)
        except Exception as error:
            log.info("watchdog_saw_nothing", group=lane.consumer.consumer_group, error=type(error).__name__)
            lane.looks.clear()
            return
        if stuck is not None:
            place = {"topic": stuck.topic, "partition": stuck.partition}
            log.critical("lane_stuck", group=lane.consumer.consumer_group, tasks=standing.tasks(), **place)
            telemetry.STUCK.labels(group=lane.consumer.consumer_group).inc()
            raise Stuck("a partition is not read although it could be")

    async def _reached(self, consumer: Watched) -> Offsets:
        """Give where the lane goes on in the partitions that this consumer could read now.

        One without partitions leaves its lane to others; where nobody has joined, all of the lane is its own to read.
        While a group shares its partitions out nobody can read, and without a coordinator nobody could join: that raises.
        """
        state = await self._group_state(consumer.consumer_group)
        own = consumer.reached()
        if state in NOBODY_READS:
            return own or await self._all_partitions(consumer)
        return own if state == MEMBERS_READ else {}

    async def _unread(self, still: Offsets) -> Offsets:
        """Give the partitions in which there is more than was reached, each with the offset that comes next."""
        if not still:
            return {}
        async with self._client() as client:
            first, end = await asyncio.gather(client.beginning_offsets(list(still)), client.end_offsets(list(still)))
        following = {partition: max(offset, first[partition]) for partition, offset in still.items()}
        return {partition: offset for partition, offset in following.items() if offset < end[partition]}

    async def _stuck(self, lane: Lane, unread: Offsets) -> TopicPartition | None:
        """Give a partition that was long unread and can be read, unless the lane has moved meanwhile."""
        for partition, offset in unread.items():
            if lane.looks[partition] < LOOKS:
                continue
            if await self._can_read(partition, offset):
                now = await self._reached(lane.consumer)
                return None if lane.consumer.in_hand or now != lane.reached else partition
            lane.looks[partition] = 0
        return None

    async def _can_read(self, partition: TopicPartition, offset: int) -> bool:
        """Tell whether a record comes: the rest of a partition may hold none, only marks of transactions."""
        async with self._client() as client:
            client.assign([partition])
            client.seek(partition, offset)
            try:
                return bool(await client.getmany(timeout_ms=READ_MS, max_records=1))
            except UnicodeDecodeError:  # One is there, and it is the lane's work to pass over it.
                return True

    async def _group_state(self, group: str) -> str:
        """Ask the group's coordinator; raises `KafkaError` where there is none, or it cannot say."""
        async with self._admin() as admin:
            (answer,) = await admin.describe_consumer_groups([group])
        code, _, state, *_ = answer.groups[0]
        if code:
            raise for_code(code)
        return str(state)

    async def _all_partitions(self, consumer: Watched) -> Offsets:
        known = await consumer.positions()
        async with self._admin() as admin:
            topics = await admin.describe_topics(consumer.topics)
        partitions = [
            TopicPartition(each["topic"], part["partition"]) for each in topics for part in each["partitions"]
        ]
        return {partition: known.get(partition, 0) for partition in partitions}

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AIOKafkaConsumer]:
        client = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, client_id=CLIENT_ID, enable_auto_commit=False)
        try:
            await client.start()
            yield client
        finally:
            await client.stop()

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, client_id=CLIENT_ID)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


def _unmoved(before: Offsets, now: Offsets) -> Offsets:
    return {partition: offset for partition, offset in now.items() if before.get(partition) == offset}
