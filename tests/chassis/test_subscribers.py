"""Every subscriber of every service is set up so that no message is lost, skipped or committed too early."""

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

import services
from chassis.bell import Bell
from chassis.consume import Consumer
from chassis.handlers import Lane
from chassis.parts import Part
from chassis.postgres import Database, Identity
from chassis.sealing import Keyring
from chassis.service import Runtime, Service, worker_parts
from chassis.settings import ServiceSettings
from contracts import topics
from tests.conftest import given

PREFIX = "installation."


def declared() -> list[Service[Any]]:
    """Find what each package under `services` declares in its composition root."""
    packages = [found.name for found in pkgutil.iter_modules(services.__path__) if found.ispkg]
    return [importlib.import_module(f"services.{name}.__main__").SERVICE for name in packages]


def consumer_of(part: Part) -> Consumer:
    """Give the consumer behind a part that `worker_parts` built."""
    consumer = cast("Any", part.run).__self__
    assert isinstance(consumer, Consumer)
    return consumer


def consumers(service: Service[Any]) -> list[Consumer]:
    """Build a worker's consumers as it builds them itself, with the settings' defaults."""
    return [consumer_of(part) for part in parts_of(service) if part.group == "consumers"]


def parts_of(service: Service[Any]) -> list[Part]:
    """Build a worker's parts as it builds them itself, with the settings' defaults."""
    settings = ServiceSettings(
        database_url="postgresql://nobody@nowhere/nothing",
        public_keys=Path("none"),
        private_keys=Path("none"),
        kafka=given("SAMBAND_LOCAL_KAFKA"),
        topic_prefix=PREFIX,
    )
    identity = Identity(service.name, Keyring(service.name, {}, None))
    database = Database(cast("Any", None), Bell(settings.database_url, service.name), identity)
    bare = replace(service, loops=lambda _: ())  # Its own need settings of its own.
    return list(worker_parts(bare, Runtime(settings, database)))


LANES = [(service.name, lane) for service in declared() for lane in service.handlers.lanes()]
each_lane = pytest.mark.parametrize(("service", "lane"), LANES, ids=str)


@dataclass(frozen=True, slots=True)
class Built:
    """A lane's parts, made and not started."""

    broker: KafkaBroker
    subscriber: BatchSubscriber
    client: AIOKafkaConsumer


@asynccontextmanager
async def built(service: str, lane: Lane) -> AsyncIterator[Built]:
    """Build the lane's broker, its subscriber, and the client that this would start."""
    (found,) = [each for each in declared() if each.name == service]
    (consumer,) = [each for each in consumers(found) if each.lane == lane]
    broker, subscriber = consumer.broker()
    await broker.connect()
    client = subscriber.builder(
        group_id=subscriber.group_id, client_id=subscriber.client_id, **subscriber._connection_args
    )
    try:
        yield Built(broker, subscriber, client)
    finally:
        await client.stop()
        await broker.stop()


def test_there_are_services_and_subscribers_to_look_at() -> None:
    found = declared()
    assert len(found) >= 2
    assert len({service.name for service in found}) == len(found)
    assert LANES


@pytest.mark.parametrize("service", declared(), ids=lambda service: service.name)
def test_a_service_has_at_most_two_subscribers_each_with_its_own_group(service: Service[Any]) -> None:
    found = consumers(service)
    groups = [consumer.consumer_group for consumer in found]
    assert len(groups) == len(service.handlers.lanes()) <= 2
    assert groups == [f"{PREFIX}{service.name}.{consumer.lane}" for consumer in found]
    assert len(set(groups)) == len(groups)


def test_no_two_services_share_a_group() -> None:
    groups = [consumer.consumer_group for service in declared() for consumer in consumers(service)]
    assert len(set(groups)) == len(groups)


@each_lane
async def test_a_failure_is_never_acknowledged_and_the_client_commits_nothing_by_itself(
    service: str, lane: Lane
) -> None:
    async with built(service, lane) as made:
        assert made.subscriber.ack_policy is AckPolicy.NACK_ON_ERROR
        assert made.subscriber._connection_args["enable_auto_commit"] is False
        assert made.client._enable_auto_commit is False


@each_lane
async def test_a_new_group_begins_with_the_oldest_message(service: str, lane: Lane) -> None:
    async with built(service, lane) as made:
        assert made.client._auto_offset_reset == "earliest"


@each_lane
async def test_records_are_taken_in_batches_by_one_subscriber(service: str, lane: Lane) -> None:
    async with built(service, lane) as made:
        assert made.broker.subscribers == [made.subscriber]
        assert type(made.subscriber) is BatchSubscriber
        assert (made.subscriber.max_records, made.subscriber.batch_timeout_ms) == (500, 1)


@each_lane
async def test_a_silent_worker_loses_its_partitions_after_ten_seconds_and_no_sooner(service: str, lane: Lane) -> None:
    async with built(service, lane) as made:
        assert made.client._session_timeout_ms == 10_000
        assert made.client._heartbeat_interval_ms == 3_000
        assert made.client._max_poll_interval_ms == 300_000


@each_lane
async def test_a_lane_joins_its_own_group_under_a_name_that_says_whose_it_is(service: str, lane: Lane) -> None:
    async with built(service, lane) as made:
        assert made.client._group_id == f"{PREFIX}{service}.{lane}"
        assert made.client._client._client_id == f"samband-{PREFIX}{service}.{lane}"


@each_lane
async def test_topics_are_those_of_the_contracts_and_none_is_created(service: str, lane: Lane) -> None:
    async with built(service, lane) as made:
        names = made.subscriber.topic_names_for_subscribe
        assert names
        assert {name.removeprefix(PREFIX) for name in names} <= set(topics.BY_NAME)
        assert all(name.startswith(PREFIX) for name in names)
        assert made.subscriber.pattern is None
        assert made.subscriber._outer_config.allow_auto_create_topics is False


@each_lane
async def test_every_record_reaches_the_consumer_as_it_came(service: str, lane: Lane) -> None:
    """FastStream's own parser and decoder would lose a batch to a header or a value that they cannot read."""
    async with built(service, lane) as made:
        parser, decoder = made.subscriber._get_parser_and_decoder()
        records = (object(), object())
        made.subscriber.consumer = made.client
        message = await parser(cast("Any", records))
        made.subscriber.consumer = None
        assert await decoder(message) is records
        assert len(made.subscriber.calls) == 1


@pytest.mark.goal("rel-R11")
@each_lane
def test_a_worker_looks_at_each_lane_whether_its_database_went_back(service: str, lane: Lane) -> None:
    (declaration,) = [found for found in declared() if found.name == service]
    assert f"look_back_{lane}" in {part.name for part in parts_of(declaration) if part.group == "loops"}
