"""Kafka: record batches sent by an own producer, and what each failure means."""

import asyncio
from collections.abc import Awaitable, Sequence
from enum import Enum

import structlog
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner

from chassis.clients import AIOKafkaProducer
from chassis.outbox import Owed

log = structlog.get_logger()

BATCH_BYTES = 256 * 1024
REQUEST_SECONDS = 10
METADATA_SECONDS = 0.5
ANSWER_SECONDS = 12.0
"""Long enough to give a broker that is frozen up, and to be answered by the next."""
ACKNOWLEDGE_SECONDS = 15.0
_REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, CorruptRecordException)
_NO_TOPIC = (UnknownTopicOrPartitionError, InvalidTopicError, TopicAuthorizationFailedError)
_partitioner = DefaultPartitioner()


class NoTopic(Exception):
    """The topic does not exist, or this service may not write to it."""


class Outcome(Enum):
    """What became of one batch."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """Kafka will not take these bytes."""
    NO_TOPIC = "no_topic"
    """As `NoTopic`."""
    UNKNOWN = "unknown"
    """It may be written or not, now or later: send again with the same ids."""


class Sender:
    """An idempotent producer that is thrown away after any failure.

    A send that timed out may still arrive, and an idempotent producer that saw a sequence error is stuck for good: so a
    failure of any kind means a new producer, and the same ids again.
    """

    def __init__(self, bootstrap: str, client_id: str, topic_prefix: str = "") -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._prefix = topic_prefix
        self._producer: AIOKafkaProducer | None = None

    async def partition(self, topic: str, key: str) -> int:
        """Give the partition of a key, as every Kafka client computes it; raises `NoTopic`, or `KafkaError` in an outage."""
        producer = await self._started()
        name = self._prefix + topic
        known = producer.client.cluster.partitions_for_topic(name)
        partitions = sorted(known or await _ask_partitions(producer, name))
        return int(_partitioner(key.encode(), partitions, partitions))

    async def send(self, topic: str, partition: int, rows: Sequence[Owed]) -> tuple[Outcome, int]:
        """Send rows as one record batch; gives what became of it, and how many rows from the front it held.

        The batch takes what fits in 256 KiB, at least one row.
        """
        producer = await self._started()
        batch = producer.create_batch()
        taken = 0
        for row in rows:
            if (
                batch.append(timestamp=None, key=row.key.encode(), value=row.payload, headers=row.kafka_headers())
                is None
            ):
                break
            taken += 1
        batch.close()
        try:
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                await (await producer.send_batch(batch, self._prefix + topic, partition=partition))
        except _REFUSED:
            return Outcome.REFUSED, taken
        except _NO_TOPIC:
            return Outcome.NO_TOPIC, taken
        except (KafkaError, TimeoutError) as error:
            log.warning("kafka_send_unknown", topic=topic, error=type(error).__name__)
            return Outcome.UNKNOWN, taken
        return Outcome.ACKNOWLEDGED, taken

    async def discard(self) -> None:
        """Throw the producer away with what it has not sent; the next send starts a new one."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # stop() alone would wait for batches that can never be delivered while Kafka is away.
        producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 -- no public way out.
        await _stop(producer)

    async def close(self) -> None:
        """End the producer; nothing is in flight between two cycles."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES,
                compression_type="lz4",
                request_timeout_ms=REQUEST_SECONDS * 1000,
            )
            try:
                await producer.start()
            except BaseException:
                await _stop(producer)
                raise
            self._producer = producer
        return self._producer


async def _ask_partitions(producer: AIOKafkaProducer, name: str) -> set[int]:
    """Ask for a topic's partitions: only a broker that answers can say that there are none, a silent one is an outage."""
    try:
        async with asyncio.timeout(METADATA_SECONDS):
            return set(await producer.partitions_for(name))
    except _NO_TOPIC:
        raise NoTopic(name) from None
    except TimeoutError:
        async with asyncio.timeout(ANSWER_SECONDS):
            if not await producer.client.force_metadata_update():
                raise KafkaConnectionError("no broker answers") from None
        if (known := producer.client.cluster.partitions_for_topic(name)) is None:
            raise NoTopic(name) from None
        return set(known)


async def _stop(producer: AIOKafkaProducer) -> None:
    """End a producer; one that is thrown away in mid-send may raise anything, and must not keep its connections."""
    if not await _ended(producer.stop()):
        await _ended(producer.client.close())


async def _ended(ending: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(5):
            await ending
    except Exception as error:
        log.warning("kafka_producer_not_stopped", error=type(error).__name__)
        return False
    return True
