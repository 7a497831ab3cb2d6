"""Topics: whether the cluster has them as they are declared; a service never makes one."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.admin import ApiVersionRequest

from chassis.clients import AIOKafkaAdminClient, AIOKafkaConsumer
from chassis.errors import CannotLook
from contracts.topics import Topic

KAFKA_SECONDS = 10.0
MAKES_TOPICS = "auto.create.topics.enable"
FETCH, FETCH_SINCE_4 = 1, 4
"""Kafka 4.0 dropped the versions of a fetch below this one (KIP-896); a broker does not tell its own version."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a topic is declared to be and is not; `found` is None where there is no such topic."""

    topic: str
    what: str
    declared: str
    found: str | None

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.topic} is missing"
        return f"{self.topic}: {self.what} is {self.found} and should be {self.declared}"


async def compare(bootstrap: str, declared: Iterable[Topic], prefix: str = "") -> list[Difference]:
    """Compare topics with the cluster: partitions, and the settings that the contracts name (sec-P5).

    Raises `CannotLook` when Kafka does not answer, or will not tell.
    """
    wanted = {prefix + topic.name: topic for topic in declared}
    async with _admin(bootstrap) as admin:
        found = {each["topic"]: each for each in await admin.describe_topics(list(wanted))} if wanted else {}
        missing = {name for name, each in found.items() if _code(name, each["error_code"]) is not None}
        configs = await _configs(admin, [name for name in wanted if name not in missing])
    differences = []
    for name, topic in wanted.items():
        if name in missing:
            differences.append(Difference(name, "topic", "there", None))
            continue
        pairs = [("partitions", str(topic.partitions), str(len(found[name]["partitions"])))]
        pairs += [(what, value, configs[name].get(what, "unknown")) for what, value in topic.config().items()]
        differences += [Difference(name, what, value, other) for what, value, other in pairs if value != other]
    return differences


async def is_kafka_4(bootstrap: str) -> bool:
    """Tell whether a broker is of Kafka 4.0 or later; raises `CannotLook`."""
    async with _admin(bootstrap) as admin:
        client = admin._client  # noqa: SLF001 -- no public way to ask a broker what it can do.
        answer = await client.send(client.get_random_node(), ApiVersionRequest())
        return any(key == FETCH and least >= FETCH_SINCE_4 for key, least, _ in answer.api_versions)


async def makes_topics(bootstrap: str) -> bool | None:
    """Tell whether a broker makes topics that anybody asks for; None where it does not tell us. Raises `CannotLook`."""
    async with _admin(bootstrap) as admin:
        brokers = [broker.nodeId for broker in admin._client.cluster.brokers()]  # noqa: SLF001 -- no public way.
        asked = [ConfigResource(ConfigResourceType.BROKER, str(broker), {MAKES_TOPICS: None}) for broker in brokers]
        answers = [each for answer in await admin.describe_configs(asked) for each in answer.resources]
    if any(code != 0 for code, *_ in answers):
        return None
    return any(entry[:2] == (MAKES_TOPICS, "true") for *_, entries in answers for entry in entries)


async def _configs(admin: Any, names: list[str]) -> Mapping[str, Mapping[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for answer in await admin.describe_configs(asked):
        for code, _, _, name, entries, *_ in answer.resources:
            if code != 0:
                raise CannotLook(f"Kafka does not tell the settings of {name}: {for_code(code).__name__}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _code(name: str, code: int) -> int | None:
    """Give the code of a topic that does not exist, None for one that does; raises `CannotLook` for any other answer."""
    if code == 0:
        return None
    if code == UnknownTopicOrPartitionError.errno:
        return code
    raise CannotLook(f"Kafka does not tell about {name}: {for_code(code).__name__}")


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=round(KAFKA_SECONDS * 1000))
    try:
        await start(admin, bootstrap)
        yield admin
    except (KafkaError, TimeoutError, OSError) as error:
        raise CannotLook(f"Kafka at {bootstrap} does not answer as it should: {type(error).__name__}") from None
    finally:
        await admin.close()


async def start(client: AIOKafkaAdminClient | AIOKafkaConsumer, bootstrap: str) -> None:
    """Start a client; raises `CannotLook` where its servers are not named as it can read them, `KafkaError` otherwise."""
    try:
        await client.start()
    except ValueError:
        raise CannotLook(f"{bootstrap} names no servers of Kafka: host:port[,host:port] is wanted") from None
