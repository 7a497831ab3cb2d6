"""Continuity: a partition goes on where it was left only if what was read last still lies right before that place.

Kafka begins a topic that was deleted and made again at offset 0, and the client cannot tell it from the old one. So the
last message is read once more after each assignment. Where another lies there, or an older offset comes first, the
partition is read from its beginning, and the inbox drops what it knows.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from chassis.arrival import Arrival
from chassis.inbox import Position

log = structlog.get_logger()

ENDS_SECONDS = 3.0
"""The most that the ends of partitions are waited for. No heartbeat goes out meanwhile, so it is also at most a third of the
session: who waited longer would lose the partitions, and with one frozen broker lose them again and again."""
Partition = tuple[str, int]
Extent = tuple[int, int]
"""The first offset that a partition still has, and the one behind its last."""


class Continuity:
    """What one consumer has yet to see again; `rewind` makes its client read a partition from the beginning."""

    def __init__(self, rewind: Callable[[Partition], None]) -> None:
        self._rewind = rewind
        self._expected: dict[Partition, Position] = {}
        self._anew: set[Partition] = set()

    def checked(self, partition: Partition, position: Position, extent: Extent | None) -> Position:
        """Give the position, or the beginning where it lies behind the partition's end; None is an extent that is not known.

        Tells of messages that retention took before they were read: the client passes over them without a word.
        """
        if extent is None:
            return position
        begin, end = extent
        if end < position.next_offset:
            self._begin_anew(partition, position)
            return Position(0)
        if begin > position.next_offset:
            gone = begin - position.next_offset
            log.error("messages_were_gone", topic=partition[0], partition=partition[1], count=gone)
        return position

    def expect(self, partition: Partition, position: Position) -> int:
        """Give the offset to read from, which is one before the position where the last message is known."""
        if position.last_message is None:
            return position.next_offset
        self._expected[partition] = position
        return position.next_offset - 1

    def forget(self, partition: Partition) -> None:
        """Expect nothing of a partition that went to another consumer."""
        self._expected.pop(partition, None)
        self._anew.discard(partition)

    def anew(self, partitions: Iterable[Partition]) -> list[Partition]:
        """Give those of them whose position may go back, because they are read from an earlier place."""
        return [partition for partition in partitions if partition in self._anew]

    def settle(self, partitions: Iterable[Partition]) -> None:
        """Note that the position of these partitions is one of what they are now."""
        self._anew.difference_update(partitions)

    def went_back(self, partition: Partition, position: int) -> None:
        """Tell of a partition of which Kafka gives older messages than it was asked for: its end lies before the position."""
        self._begin_anew(partition, Position(position))

    def _begin_anew(self, partition: Partition, position: Position) -> None:
        log.error("topic_began_anew", topic=partition[0], partition=partition[1], position=position.next_offset)
        self._anew.add(partition)

    def prove(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Give what goes on: without the last messages that were seen again, and without what is to be read anew."""
        if not self._expected:
            return arrivals
        rewound: set[Partition] = set()
        return [arrival for arrival in arrivals if self._goes_on(arrival, rewound)]

    def _goes_on(self, arrival: Arrival, rewound: set[Partition]) -> bool:
        partition = (arrival.topic, arrival.partition)
        position = self._expected.pop(partition, None)
        if position is None or arrival.offset >= position.next_offset:  # The last message may be gone by retention.
            return partition not in rewound
        is_last = arrival.offset == position.next_offset - 1
        if is_last and position.last_message in _names(arrival):
            return False
        self._begin_anew(partition, position)
        if is_last:
            rewound.add(partition)
            self._rewind(partition)
        return (
            not is_last
        )  # An older one came because Kafka's end is before the position: the client has gone back itself.


async def extents_of(
    client: Any, partitions: Sequence[TopicPartition], *, session_seconds: float
) -> dict[TopicPartition, Extent]:
    """Ask where partitions begin and end; what is not told in a moment shows itself when the next message comes."""
    if not partitions:
        return {}
    try:
        async with asyncio.timeout(min(ENDS_SECONDS, session_seconds / 3)):
            begins, ends = await asyncio.gather(client.beginning_offsets(partitions), client.end_offsets(partitions))
            return {partition: (begins[partition], ends[partition]) for partition in partitions}
    except (KafkaError, TimeoutError):
        return {}


def name(arrival: Arrival) -> str | None:
    """Say which message this is, as positions remember it; None for a record of which this release got nothing to see.

    One that this release cannot read has the digest of its bytes for a name: the next release may read it, and would not
    know it by where it lies; nor must another record at the same place pass for it.
    """
    if arrival.envelope is not None:
        return " ".join(arrival.identity)
    return None if (arrival.key, arrival.value, arrival.headers) == (None, None, ()) else arrival.digest


def _names(arrival: Arrival) -> set[str]:
    """Give all that a release may have remembered it by; the place was the name of unreadable ones before the digest."""
    place = f"kafka:{arrival.topic} {arrival.partition}:{arrival.offset}"
    return {" ".join(arrival.identity), arrival.digest, place}
