"""Reading and writing topics as a stranger would: with plain aiokafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from deploy.local.topics import Topic, create_topics
from tests.support.waiting import InVain, until


async def make_anew(bootstrap: str, topic: Topic) -> None:
    """Delete a topic and make it again, with settings that hold from its first record on: altered ones are late now and then."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic.name])

        async def is_gone() -> bool:
            return topic.name not in await admin.list_topics()

        await until(is_gone, what="the topic to be gone")
    finally:
        await admin.close()
    await create_topics(bootstrap, [topic])


@asynccontextmanager
async def reading(bootstrap: str, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Read topics from their beginning, in no group."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def take(consumer: AIOKafkaConsumer, count: int, *, seconds: float = 20) -> list[Any]:
    """Read that many records, in the order of arrival; raises `InVain`."""
    records: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            while len(records) < count:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records.extend(batch)
    except TimeoutError:
        raise InVain(f"{len(records)} of {count} records arrived in {seconds:g} s") from None
    return records


async def take_to_the_end(consumer: AIOKafkaConsumer) -> list[Any]:
    """Read the records that are there by now, each partition in its order; raises `InVain`."""
    ends = await consumer.end_offsets(consumer.assignment())
    return await take(consumer, sum([end - await consumer.position(partition) for partition, end in ends.items()]))


async def write(
    bootstrap: str,
    topic: str,
    value: bytes | None,
    *,
    key: bytes | None = b"k",
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Write one record with any bytes whatever."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=key, headers=list(headers))
    finally:
        await producer.stop()


async def write_undecodable(bootstrap: str, topic: str, *, partition: int) -> None:
    """Write a record whose header's name no client of ours would write."""

    class Name(str):
        __slots__ = ()

        def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002 -- as `str` has it.
            return b"\xff\xfe"

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 16_384)
        batch.append(timestamp=None, key=b"k", value=b"{}", headers=[(Name("x"), b"y")])
        await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
