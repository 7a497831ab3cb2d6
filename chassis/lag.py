"""Lag: how many messages of its partitions a lane has not handled, told without a request for any of them.

What Kafka says of a partition's end with each fetch is not enough: while a batch is in hand nothing is fetched, and what
comes meanwhile would not be seen. So it is asked now and then.
"""

import asyncio

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from chassis import telemetry
from chassis.consume import Consumer
from chassis.loop import Loop

log = structlog.get_logger()

ASK_SECONDS = 10.0
ANSWER_SECONDS = 2.0


class Lag:
    """What one consumer has still to do; shown from its loop's first tick until the loop ends."""

    def __init__(self, consumer: Consumer, *, topic_prefix: str = "") -> None:
        self._consumer = consumer
        self._prefix = topic_prefix
        self._extents: dict[TopicPartition, tuple[int, int]] = {}
        self._passed: dict[TopicPartition, int] = {}

    def loop(self) -> Loop:
        """Make the loop that asks."""
        return Loop(f"lag_{self._consumer.lane}", self.ask, every=ASK_SECONDS, at_end=self._hide)

    async def ask(self) -> int:
        """Ask where the partitions begin and end; where Kafka does not say, what it said last stands."""
        telemetry.LAG.show(self._consumer.lane, self.now)
        self._passed = {}
        client = self._consumer.client
        partitions = list(self._consumer.reached())
        if not partitions:
            return 0
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                begins, ends = await asyncio.gather(
                    client.beginning_offsets(partitions), client.end_offsets(partitions)
                )
                self._extents = {partition: (begins[partition], ends[partition]) for partition in partitions}
                self._passed = {partition: await client.position(partition) for partition in partitions}
        except (KafkaError, TimeoutError) as error:
            log.info("lag_not_told", lane=self._consumer.lane, error=type(error).__name__)
        return 0

    def now(self) -> telemetry.Lags:
        """Count by topic and partition, for those that it has been given now."""
        found = {}
        for partition, reached in self._consumer.reached().items():
            if partition in self._extents:
                begin, end = self._extents[partition]
                newest = max(end, self._consumer.client.highwater(partition) or 0)
                where = partition.topic.removeprefix(self._prefix), partition.partition
                found[where] = max(0, newest - max(begin, reached, self._behind_marks(partition, end)))
        return found

    def _behind_marks(self, partition: TopicPartition, end: int) -> int:
        """Give the end where the client is there and nothing is in hand: what lies between are marks of transactions."""
        passed = self._passed.get(partition, 0)
        return passed if passed >= end and not self._consumer.in_hand else 0

    async def _hide(self) -> None:
        telemetry.LAG.hide(self._consumer.lane)
