"""Sending: write a signed request to Kafka and wait for its answer, as any system outside would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import TypeAdapter, ValidationError

from chassis.requests import Signed
from contracts.message import Message
from contracts.privacy import Sealed

ANSWERS = {"RequestAccepted": "accepted", "RequestRefused": "refused", "RequestNotProven": "not_proven"}
_OBJECT = TypeAdapter(dict[str, Any])


class NotSent(Exception):
    """The request is not in Kafka, as far as anybody knows; the text says why."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Kafka answers, and what its topics' names begin with."""

    bootstrap: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies in its topic."""

    partition: int
    offset: int


def message_of(model: type[Message], fields: bytes) -> Message:
    """Read a request's fields (JSON, sealed ones in the clear); raises `ValidationError`."""
    given = _OBJECT.validate_json(fields)
    sealed: dict[str, Any] = {name: Sealed(text) for name in model.readers if isinstance(text := given.get(name), str)}
    return model.model_validate({**given, **sealed})


def faults_of(error: ValidationError) -> str:
    """Say which fields are at fault, and never what is in them."""
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'input'}: {fault['msg']}" for fault in error.errors())


async def send(cluster: Cluster, signed: Signed, *, within: float) -> dict[str, Any] | None:
    """Send a request and give its answer, or None when all of it took longer than that many seconds.

    Raises `NotSent`, or what Kafka's client does. What could not be proven is answered by where its record lies, which
    nobody but its sender was told.
    """
    topic = f"{signed.topic.partition('.')[0]}.answers.v1"
    try:
        async with asyncio.timeout(within), _reading(cluster, topic) as answers:
            place = await _write(cluster, signed, within=within)
            while True:
                if (said := answer_of(await answers.getone(), signed, place)) is not None:
                    return said
    except TimeoutError:
        return None


def answer_of(record: Any, signed: Signed, place: Place) -> dict[str, Any] | None:
    """Read an answer to this request; None for anybody else's, and for what is no answer at all."""
    try:
        headers = {name: value.decode() for name, value in record.headers}
        name, said = headers["ce_type"].split(".")[1], _OBJECT.validate_json(record.value)
        answer = {"outcome": ANSWERS[name], "answer_id": headers["ce_id"], **said}
        if name == "RequestNotProven":
            mine = (said["partition"], said["offset"]) == (place.partition, place.offset)
        else:
            mine = said["request_id"] == signed.headers["ce_id"]
        return answer if mine and said["system"] == signed.headers["ce_source"].rpartition("/")[2] else None
    except (AttributeError, IndexError, LookupError, ValueError):
        return None


@asynccontextmanager
async def _reading(cluster: Cluster, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Read a topic from its end on, in no group; raises `NotSent` where there is no such topic."""
    partitions = await _partitions(cluster, cluster.prefix + topic)
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap)
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for partition in partitions:
            await consumer.position(partition)
        yield consumer
    finally:
        await consumer.stop()


async def _partitions(cluster: Cluster, name: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    try:
        await admin.start()
        (described,) = await admin.describe_topics([name])
    finally:
        await admin.close()
    if described["error_code"] != 0:
        raise NotSent(f"Kafka has no topic {name}; is the prefix right?")
    return [TopicPartition(name, partition["partition"]) for partition in described["partitions"]]


async def _write(cluster: Cluster, signed: Signed, *, within: float) -> Place:
    patience = max(1, min(40_000, int(within * 1000)))  # It bounds the end too, which waits for what is on its way.
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.bootstrap, acks="all", enable_idempotence=True, request_timeout_ms=patience
    )
    try:
        await producer.start()
        headers = [(name, text.encode()) for name, text in signed.headers.items()]
        topic, key = cluster.prefix + signed.topic, signed.key.encode()
        told = await producer.send_and_wait(topic, signed.value, key=key, headers=headers)
    finally:
        await producer.stop()
    return Place(told.partition, told.offset)
