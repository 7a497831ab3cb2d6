"""The watchdog on real Kafka: a lane that could read and does not is stuck, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorForGroupError

from chassis.consume import Consumer
from chassis.handlers import Lane as LaneName
from chassis.parts import Stuck
from chassis.postgres import Database
from chassis.watchdog import LOOKS, Offsets, Watchdog, Watched
from deploy.local.ports import LOOPBACK, free_port
from tests.chassis.http_app import logged
from tests.conftest import Bus
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import TOPIC, consuming, handlers, write_in_a_transaction
from tests.support.things import ThingHappened

pytestmark = [pytest.mark.goal("rel-R13"), pytest.mark.usefixtures("effects", "quick_retries")]


async def freeze(consumer: Consumer) -> None:
    """Leave the client's next fetch without an answer for ever, and wait until it hangs there."""
    assert consumer._subscriber is not None
    fetcher, hangs = cast("Any", consumer._subscriber.consumer)._fetcher, asyncio.Event()

    async def hang(*_: object) -> bool:
        hangs.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # As the client's own does: it is being closed, and goes on closing.
            return False
        return True

    fetcher._proc_fetch_request = hang
    await hangs.wait()


class Sight:
    """One lane's watchdog, whose looks the test makes."""

    def __init__(
        self, consumer: Watched, ping: Callable[[], Awaitable[object]], bootstrap: str, seconds: float = 60
    ) -> None:
        self.watchdog = Watchdog([consumer], ping, bootstrap=bootstrap, seconds=seconds)
        (self.lane,) = self.watchdog._lanes

    async def look(self, times: int = LOOKS + 3) -> None:
        for _ in range(times):
            await self.watchdog.look(self.lane)

    @property
    def counted(self) -> int:
        return max(self.lane.looks.values(), default=0)


@asynccontextmanager
async def frozen_with_lag(database: Database, bus: Bus) -> AsyncIterator[Consumer]:
    async with consuming(database, bus, handlers()) as consumer:
        await freeze(consumer)
        await send(bus, ThingHappened(thing_id=uuid4(), n=1))
        yield consumer


async def test_a_frozen_fetcher_ends_the_watch_within_its_seconds_and_is_named(database: Database, bus: Bus) -> None:
    async with frozen_with_lag(database, bus) as consumer:
        sight = Sight(consumer, database.ping, bus.bootstrap, seconds=1.5)
        with logged() as lines:
            async with asyncio.timeout(60):
                with pytest.raises(Stuck):
                    await sight.watchdog.run()
    (line,) = [line for line in lines if line["event"] == "lane_stuck"]
    assert (line["log_level"], line["group"]) == ("critical", f"{bus.prefix}things.urgent")
    assert line["topic"] == bus.prefix + TOPIC and line["partition"] in {0, 1, 2}
    assert any("test_watchdog.py" in place and "hang" in place for task in line["tasks"] for place in task["at"])


async def test_so_many_looks_in_a_row_are_needed_and_no_fewer(database: Database, bus: Bus) -> None:
    async with frozen_with_lag(database, bus) as consumer:
        sight = Sight(consumer, database.ping, bus.bootstrap)
        await sight.look(LOOKS)  # The first has nothing to compare with.
        assert sight.counted == LOOKS - 1
        with pytest.raises(Stuck):
            await sight.look(1)


async def test_while_kafka_does_not_answer_nothing_is_said_and_the_count_begins_anew(
    database: Database, bus: Bus
) -> None:
    async with frozen_with_lag(database, bus) as consumer:
        sight = Sight(consumer, database.ping, bus.bootstrap)
        await sight.look(LOOKS)
        sight.watchdog._bootstrap = f"{LOOPBACK}:{free_port()}"
        await sight.look()
        assert sight.counted == 0
        sight.watchdog._bootstrap = bus.bootstrap
        await sight.look(LOOKS - 1)
        with pytest.raises(Stuck):
            await sight.look(1)


async def test_while_postgres_does_not_answer_nothing_is_said_and_the_count_begins_anew(
    database: Database, bus: Bus
) -> None:
    away = False

    async def ping() -> None:
        if away:
            raise ConnectionRefusedError
        await database.ping()

    async with frozen_with_lag(database, bus) as consumer:
        sight = Sight(consumer, ping, bus.bootstrap)
        await sight.look(LOOKS)
        away = True
        await sight.look()
        assert sight.counted == 0
        away = False
        await sight.look(LOOKS - 1)
        with pytest.raises(Stuck):
            await sight.look(1)


async def test_a_lane_with_nothing_to_read_is_not_stuck_however_frozen(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)
        await freeze(consumer)
        await Sight(consumer, database.ping, bus.bootstrap).look()


async def test_a_slow_lane_that_moves_is_not_stuck(database: Database, bus: Bus, owner: Owner) -> None:
    may_go_on = asyncio.Semaphore(0)

    async def trouble(_n: int) -> None:
        await may_go_on.acquire()

    thing = uuid4()
    async with consuming(database, bus, handlers(trouble)) as consumer:
        sight = Sight(consumer, database.ping, bus.bootstrap)
        await send(bus, ThingHappened(thing_id=thing, n=0))
        for n in range(3):
            await send(bus, ThingHappened(thing_id=thing, n=n + 1))  # Waits in Kafka behind the one in hand.
            await sight.look()
            may_go_on.release()
            await expect_effects(owner, thing, *range(n + 1))
        may_go_on.release()


async def test_a_batch_that_waits_out_an_outage_is_not_stuck(database: Database, bus: Bus, owner: Owner) -> None:
    locked, tried = True, asyncio.Event()

    async def trouble(_n: int) -> None:
        tried.set()
        if locked:
            raise asyncpg.LockNotAvailableError("x")

    thing = uuid4()
    async with consuming(database, bus, handlers(trouble)) as consumer:
        for n in range(3):
            await send(bus, ThingHappened(thing_id=thing, n=n))
        await tried.wait()
        await Sight(consumer, database.ping, bus.bootstrap).look()
        locked = False
        await expect_effects(owner, thing, 0, 1, 2)


async def test_the_mark_at_the_end_of_a_transaction_is_nothing_to_read(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing = uuid4()
    async with consuming(database, bus, handlers()) as consumer:
        await write_in_a_transaction(bus, ThingHappened(thing_id=thing, n=1))
        await expect_effects(owner, thing, 1)
        await freeze(consumer)
        sight = Sight(consumer, database.ping, bus.bootstrap)
        await sight.look(LOOKS + 1)
        assert sight.counted == 0  # Kafka's end is behind the mark, and yet no record comes.


async def test_a_consumer_that_never_joined_is_stuck_only_where_nobody_else_reads(
    database: Database, bus: Bus, owner: Owner
) -> None:
    outside = Consumer(database, handlers(), LaneName.URGENT, bootstrap=bus.bootstrap, topic_prefix=bus.prefix)
    sight = Sight(outside, database.ping, bus.bootstrap)
    async with consuming(database, bus, handlers()) as reader:
        await freeze(reader)
        await send(bus, ThingHappened(thing_id=uuid4(), n=1))
        await sight.look()
        assert sight.counted == 0
    await sight.look(LOOKS)  # The first has nothing to compare with.
    assert sight.counted == LOOKS - 1
    with pytest.raises(Stuck):
        await sight.look(1)


@dataclass(slots=True)
class Standby:
    """A consumer without partitions, whose service goes on at `offset` in each, in whatever process."""

    consumer_group: str
    topics: list[str]
    offset: int = 0
    in_hand: bool = False

    def reached(self) -> Offsets:
        return {}

    async def positions(self) -> Offsets:
        return {TopicPartition(topic, part): self.offset for topic in self.topics for part in range(3)}


async def test_a_standby_is_not_stuck_while_its_lane_moves(database: Database, bus: Bus) -> None:
    standby = Standby(f"{bus.prefix}nobody", [bus.prefix + TOPIC])
    sight = Sight(standby, database.ping, bus.bootstrap)
    thing = uuid4()
    for n in range(LOOKS + 3):
        await send(bus, ThingHappened(thing_id=thing, n=n))
    for offset in range(LOOKS + 3):  # Each time with more behind it.
        standby.offset = offset
        await sight.look(1)
        assert sight.counted == 0
    standby.offset = 0
    await sight.look(LOOKS)
    with pytest.raises(Stuck):
        await sight.look(1)


@pytest.mark.parametrize("state", ["PreparingRebalance", "CompletingRebalance"])
@pytest.mark.parametrize("joined", [True, False], ids=["a member", "a standby"])
async def test_while_a_group_shares_its_partitions_out_nobody_in_it_is_stuck(
    joined: bool, state: str, database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with frozen_with_lag(database, bus) as member:
        standby = Standby(member.consumer_group, member.topics)
        sight = Sight(member if joined else standby, database.ping, bus.bootstrap)
        with monkeypatch.context() as patched:
            describing(patched, code=0, state=state)
            await sight.look()
            assert sight.counted == 0
        if joined:
            await sight.look(LOOKS - 1)
            with pytest.raises(Stuck):
                await sight.look(2)  # The first may have nothing to compare with.


@pytest.mark.parametrize("away", ["not found", "loading", "not there"])
@pytest.mark.parametrize("joined", [True, False], ids=["a member", "a standby"])
async def test_while_the_groups_coordinator_is_away_nothing_is_said_although_data_can_be_read(
    joined: bool, away: str, database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with frozen_with_lag(database, bus) as member:
        standby = Standby(f"{bus.prefix}nobody", member.topics)
        sight = Sight(member if joined else standby, database.ping, bus.bootstrap)
        await sight.look(LOOKS)
        assert sight.counted == LOOKS - 1
        with monkeypatch.context() as patched:
            match away:
                case "not found":
                    patched.setattr(AIOKafkaAdminClient, "find_coordinator", no_coordinator)
                case "loading":
                    describing(patched, code=CoordinatorLoadInProgressError.errno, state="")
                case _:
                    describing(patched, code=NotCoordinatorForGroupError.errno, state="Dead")
            await sight.look()
            assert sight.counted == 0
        await sight.look(LOOKS - 1)
        with pytest.raises(Stuck):
            await sight.look(1)


async def test_a_coordinator_that_goes_away_during_the_last_look_is_no_verdict(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with frozen_with_lag(database, bus) as consumer:
        sight = Sight(consumer, database.ping, bus.bootstrap)
        await sight.look(LOOKS)
        can_read = sight.watchdog._can_read

        async def then_it_goes(partition: TopicPartition, offset: int) -> bool:
            can = await can_read(partition, offset)
            monkeypatch.setattr(AIOKafkaAdminClient, "find_coordinator", no_coordinator)
            return can

        monkeypatch.setattr(sight.watchdog, "_can_read", then_it_goes)
        await sight.look(1)
        assert sight.counted == 0


async def no_coordinator(*_: object) -> int:
    raise CoordinatorNotAvailableError


def describing(patched: pytest.MonkeyPatch, *, code: int, state: str) -> None:
    """Have the coordinator answer so, whatever it is asked; the topics stay readable."""

    async def describe(_: object, groups: list[str]) -> list[SimpleNamespace]:
        return [SimpleNamespace(groups=[(code, group, state, "", "", [])]) for group in groups]

    patched.setattr(AIOKafkaAdminClient, "describe_consumer_groups", describe)
