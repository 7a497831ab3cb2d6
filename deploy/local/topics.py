"""Topics: created by the operator, before anybody writes to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from deploy.local.errors import SetupError

_DEFAULT_OF_CLUSTER = -1


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is to be: `config` holds Kafka's own names, such as `retention.ms`."""

    name: str
    partitions: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


async def create_topics(bootstrap: str, topics: Iterable[Topic]) -> None:
    """Create the topics that are missing, and return when all have a leader; one that exists stays as it is.

    Raises `SetupError` with the name of each topic that Kafka refuses; the others are created all the same.
    """
    wanted = list(topics)
    if not wanted:
        return
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=30_000)
    try:
        await admin.start()
        response = await admin.create_topics([_request(each) for each in wanted])
        refused = _refused(response.topic_errors)
        there = [each.name for each in wanted if each.name not in refused]
        async with asyncio.timeout(30):
            while not await _led(admin, there):  # noqa: ASYNC110 - Kafka does not say when
                await asyncio.sleep(0.01)
    finally:
        await admin.close()
    if refused:
        raise SetupError("Kafka refused " + "; ".join(f"topic {name}: {why}" for name, why in refused.items()))


def _request(topic: Topic) -> NewTopic:
    # The client takes "the cluster's default" only together with an assignment of replicas: an empty one.
    return NewTopic(
        topic.name, topic.partitions, _DEFAULT_OF_CLUSTER, replica_assignments={}, topic_configs=topic.config
    )


def _refused(answers: Iterable[tuple[str, int, str | None]]) -> dict[str, str]:
    """Which topics were refused, and why."""
    return {
        name: f"{for_code(code).__name__} {message or ''}".rstrip()
        for name, code, message in answers
        if code not in {0, TopicAlreadyExistsError.errno}
    }


async def _led(admin: AIOKafkaAdminClient, names: list[str]) -> bool:
    """Whether each topic and each of its partitions has a leader."""
    described = await admin.describe_topics(names) if names else []
    return all(
        topic["error_code"] == 0 and all(partition["leader"] >= 0 for partition in topic["partitions"])
        for topic in described
    )
