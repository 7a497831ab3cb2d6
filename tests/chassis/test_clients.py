"""No client of Kafka asks for a topic in such a way that brokers would make it, whatever they are set to."""

from uuid import uuid4

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from chassis import ghosts, topics
from chassis.errors import CannotLook
from chassis.kafka import NoTopic, Sender
from chassis.postgres import Database
from chassis.watchdog import Lane, Watchdog
from contracts.topics import ACCOUNTS
from tests.conftest import Bus
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import consuming, handlers
from tests.support.things import ThingHappened

Asked = list[tuple[list[str], bool]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Note each request for topics as it goes over the wire: which, and whether the broker may make them."""
    found: Asked = []
    passed_on = AIOKafkaConnection.send

    def note(self: AIOKafkaConnection, request: object, **settings: bool) -> object:
        if isinstance(request, MetadataRequest) and self._versions:
            sent = request.prepare(self._versions)
            assert sent.API_VERSION >= 4
            found.append((sent.topics, sent.allow_auto_topic_creation))
        return passed_on(self, request, **settings)

    monkeypatch.setattr(AIOKafkaConnection, "send", note)
    return found


def makes_none(asked: Asked, name: str) -> bool:
    return any(name in (names or ()) for names, _ in asked) and not any(may_make for _, may_make in asked)


@pytest.mark.goal("sec-P5")
async def test_looking_for_topics_makes_none(asked: Asked, bus: Bus) -> None:
    (difference,) = await topics.compare(bus.bootstrap, [ACCOUNTS], f"{bus.prefix}nowhere-")
    assert difference.found is None
    with pytest.raises(CannotLook):
        await ghosts.last_records(bus.bootstrap, [ACCOUNTS.name], f"{bus.prefix}nowhere-")
    assert makes_none(asked, f"{bus.prefix}nowhere-{ACCOUNTS.name}")


@pytest.mark.goal("sec-P5")
async def test_sending_to_a_topic_makes_none(asked: Asked, bus: Bus) -> None:
    sender = Sender(bus.bootstrap, "test", bus.prefix)
    with pytest.raises(NoTopic):
        await sender.partition("nowhere.v1", "key")
    await sender.close()
    assert makes_none(asked, f"{bus.prefix}nowhere.v1")


@pytest.mark.goal("sec-P5")
@pytest.mark.usefixtures("effects", "quick_retries")
async def test_reading_topics_and_watching_over_it_makes_none(
    asked: Asked, database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)
        await Watchdog([consumer], database.ping, bootstrap=bus.bootstrap, seconds=60).look(Lane(consumer))
        assert makes_none(asked, consumer.topics[0])


async def test_a_broker_says_whether_it_makes_topics(bus: Bus) -> None:
    assert await topics.makes_topics(bus.bootstrap) is False
