"""Reading: aiokafka's consumer, made to read on past a record that it cannot decode, and to talk to Kafka less.

A header whose *name* is not UTF-8 makes aiokafka raise in the middle of a poll: what it had taken from other partitions is
forgotten with its position moved, and the next poll raises again, for ever. Here every partition then goes back to what
was really delivered, and is read one record at a time until the one at fault is found, told of, and passed over.

Whatever else a poll raises has the same effects, and the client says it again at each poll, or has a task that ended for
good: that client is reported as failed, to be replaced by a new one.

Where a lane goes on stands in its database. Kafka is told of it too, for lag and for operators, but not after each batch:
that would be a request for one event where events come one at a time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from chassis.clients import AIOKafkaConsumer

log = structlog.get_logger()

Unreadable = Callable[[TopicPartition, int], Awaitable[None]]
Failed = Callable[[Exception], None]
Taken = dict[TopicPartition, list[ConsumerRecord]]

PEEK_MS = 50
TELL_SECONDS, TELL_AGAIN_SECONDS = 1.0, 10.0
"""Between two tellings; after one that failed."""
TELLING_SECONDS = 2.0
"""The most that one may take: the client would try for as long as the group's coordinator is away."""
PATIENCE_MS = 200
"""How long an idle poll waits for a record, which ends it at once. FastStream asks for a few milliseconds, a hundred times a
second, and sleeps as long after each: half of an idle process's time, and a delay for who comes in the middle."""


class FetchingEnded(Exception):
    """The client's task that fetches has ended without an error; nothing would ever be read again."""


class TolerantConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types.
    """Awaits `unreadable` with the place of each record that cannot be decoded, before anything behind it is read.

    Calls `failed` with what a poll raised; from then on nothing may be read with this client.
    """

    def __init__(self, *topics: str, unreadable: Unreadable, failed: Failed, **settings: Any) -> None:
        super().__init__(*topics, **settings)
        self._unreadable = unreadable
        self._failed = failed
        self._delivered: dict[TopicPartition, int] = {}
        self._untold: dict[TopicPartition, int] = {}
        self._seeks = 0
        self._tell_at = 0.0

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._delivered[partition] = offset
        self._seeks += 1
        super().seek(partition, offset)

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Taken:
        try:
            taken = await self._take(*partitions, timeout_ms=max(timeout_ms, PATIENCE_MS), max_records=max_records)
        except ConsumerStoppedError:
            raise
        except Exception as error:
            self._failed(error)
            return await asyncio.Future()  # Nobody may poll this client again: it is about to be stopped.
        for partition, records in taken.items():
            self._delivered[partition] = records[-1].offset + 1
        if not taken:
            await self._tell_when_due()
        return taken

    async def _take(self, *partitions: TopicPartition, **limits: Any) -> Taken:
        try:
            taken: Taken = await super().getmany(*partitions, **limits)
        except UnicodeDecodeError:
            return await self._one_past_unreadable()
        if not taken and self._fetching_ended:
            self._fetcher.error_future.result()
            raise FetchingEnded
        return taken

    @property
    def _fetching_ended(self) -> bool:
        """Tell whether the task that fetches has ended; the client itself does not look, and would wait for it for ever."""
        return self._fetcher is not None and bool(self._fetcher.error_future.done())

    async def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Note that all that was delivered (or what `offsets` say) is handled; Kafka hears of it within about a second."""
        self._untold |= self._delivered if offsets is None else offsets
        await self._tell_when_due()

    async def stop(self) -> None:
        """Tell Kafka the last, as far as it listens, and leave."""
        await self._tell()
        ended = self._fetching_ended
        try:
            await super().stop()
        except KafkaError:
            if not ended:
                raise
            await self._client.close()  # The task that fetched has said its error once more, before this was reached.

    async def _tell_when_due(self) -> None:
        if time.monotonic() >= self._tell_at:
            await self._tell()

    async def _tell(self) -> None:
        """Tell Kafka of what is untold, of the partitions that are still ours; it is nothing that could be lost."""
        held = self.assignment()
        self._untold = {partition: offset for partition, offset in self._untold.items() if partition in held}
        if not self._untold:
            return
        try:
            async with asyncio.timeout(TELLING_SECONDS):
                await super().commit(self._untold)
        except (KafkaError, TimeoutError) as error:
            log.info("kafka_not_told", error=type(error).__name__)
            self._tell_at = time.monotonic() + TELL_AGAIN_SECONDS
        else:
            self._untold = {}
            self._tell_at = time.monotonic() + TELL_SECONDS

    async def _one_past_unreadable(self) -> Taken:
        """Go back to what was delivered, and give one record, or none after one was passed over."""
        for partition in self.assignment():
            super().seek(partition, self._delivered.get(partition, 0))
        for partition in self.assignment():
            try:
                taken: Taken = await super().getmany(partition, timeout_ms=PEEK_MS, max_records=1)
            except UnicodeDecodeError:
                offset, seeks = await self.position(partition), self._seeks
                await self._unreadable(partition, offset)
                if seeks == self._seeks:  # Else the partition was given out anew meanwhile, with a place of its own.
                    self.seek(partition, offset + 1)
                return {}
            if taken:
                return taken
        return {}
