"""Reading: aiokafka's consumer, made to read on past a record that it cannot decode.

A header whose *name* is not UTF-8 makes aiokafka raise in the middle of a poll: what it had taken from other partitions is
forgotten with its position moved, and the next poll raises again, for ever. Here every partition then goes back to what
was really delivered, and is read one record at a time until the one at fault is found, told of, and passed over.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

Unreadable = Callable[[TopicPartition, int], Awaitable[None]]
Taken = dict[TopicPartition, list[ConsumerRecord]]

PEEK_MS = 50


class TolerantConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types.
    """Awaits `unreadable` with the place of each record that cannot be decoded, before anything behind it is read."""

    def __init__(self, *topics: str, unreadable: Unreadable, **settings: Any) -> None:
        super().__init__(*topics, **settings)
        self._unreadable = unreadable
        self._delivered: dict[TopicPartition, int] = {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._delivered[partition] = offset
        super().seek(partition, offset)

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Taken:
        try:
            taken: Taken = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
        except UnicodeDecodeError:
            taken = await self._one_past_unreadable()
        for partition, records in taken.items():
            self._delivered[partition] = records[-1].offset + 1
        return taken

    async def _one_past_unreadable(self) -> Taken:
        """Go back to what was delivered, and give one record, or none after one was passed over."""
        for partition in self.assignment():
            super().seek(partition, self._delivered.get(partition, 0))
        for partition in self.assignment():
            try:
                taken: Taken = await super().getmany(partition, timeout_ms=PEEK_MS, max_records=1)
            except UnicodeDecodeError:
                offset = await self.position(partition)
                await self._unreadable(partition, offset)
                self.seek(partition, offset + 1)
                return {}
            if taken:
                return taken
        return {}
