"""Topics of the cluster are compared with what is declared (sec-P5); `doctor` says the differences."""

from dataclasses import replace
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from chassis import topics
from chassis.errors import CannotLook
from contracts.topics import ACCOUNTS, ALL, AUTH_REQUESTS, CODES
from deploy.local import topics as kafka_topics
from deploy.local.ports import free_port
from tests.conftest import Bus


@pytest.mark.goal("sec-P5")
async def test_the_topics_that_the_local_stack_makes_are_as_they_are_declared(bus: Bus) -> None:
    prefix = f"{bus.prefix}whole-"
    await kafka_topics.create_topics(
        bus.bootstrap, [kafka_topics.Topic(prefix + topic.name, topic.partitions, topic.config()) for topic in ALL]
    )
    assert await topics.compare(bus.bootstrap, ALL, prefix) == []


@pytest.mark.goal("sec-P5")
async def test_each_difference_is_named_with_both_values(bus: Bus) -> None:
    prefix = f"{bus.prefix}half-"
    config = CODES.config() | {"retention.ms": "604800000", "cleanup.policy": "compact"}
    del config["segment.ms"]
    await kafka_topics.create_topics(bus.bootstrap, [kafka_topics.Topic(prefix + CODES.name, 2, config)])
    found = await topics.compare(bus.bootstrap, (ACCOUNTS, CODES), prefix)
    assert [(each.topic.removeprefix(prefix), each.what, each.declared, each.found) for each in found] == [
        (ACCOUNTS.name, "topic", "there", None),
        (CODES.name, "partitions", "6", "2"),
        (CODES.name, "retention.ms", "3600000", "604800000"),
        (CODES.name, "segment.ms", "900000", "604800000"),
        (CODES.name, "cleanup.policy", "delete", "compact"),
    ]
    assert str(found[0]) == f"{prefix}{ACCOUNTS.name} is missing"
    assert str(found[2]) == f"{prefix}{CODES.name}: retention.ms is 604800000 and should be 3600000"


async def test_a_declaration_that_is_changed_differs_from_a_cluster_that_is_not(bus: Bus) -> None:
    changed = replace(ACCOUNTS, partitions=3, retention=timedelta(days=8))
    (found,) = await topics.compare(bus.bootstrap, [changed], bus.prefix)
    assert (found.what, found.declared) == ("retention.ms", "691200000")


async def test_where_others_write_kafka_takes_no_batch_that_unpacks_to_much(bus: Bus) -> None:
    spaces = b" " * 60_000
    producer = AIOKafkaProducer(bootstrap_servers=bus.bootstrap, compression_type="gzip", max_batch_size=2_000_000)
    await producer.start()
    try:
        few, many = producer.create_batch(), producer.create_batch()
        for batch, count in ((few, 3), (many, 20)):
            for _ in range(count):
                assert batch.append(key=b"k", value=spaces, timestamp=None) is not None
            batch.close()
        topic = bus.prefix + AUTH_REQUESTS.name
        await (await producer.send_batch(few, topic, partition=0))
        refused = await producer.send_batch(many, topic, partition=0)
        with pytest.raises(MessageSizeTooLargeError):
            await refused
    finally:
        await producer.stop()


async def test_a_kafka_that_is_away_cannot_be_looked_at() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with pytest.raises(CannotLook, match=f"Kafka at {nobody} does not answer as it should: KafkaConnectionError"):
        await topics.compare(nobody, ALL)


async def test_the_broker_is_known_to_be_new_enough(bus: Bus) -> None:
    assert await topics.is_kafka_4(bus.bootstrap)
