"""Telemetry: what an operator sees, and that nobody outside can make more series of it."""

import asyncio
import time
from uuid import uuid4

import httpx2
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from prometheus_client import REGISTRY

from chassis import health, http, outbox, telemetry
from chassis.errors import Misconfigured
from chassis.lag import Lag
from chassis.loop import PULSE_SECONDS, pulse
from chassis.parts import Stuck
from chassis.postgres import Database
from chassis.relay import Relay
from chassis.watchdog import LOOKS, Watchdog
from chassis.watchdog import Lane as WatchedLane
from deploy.local.ports import LOOPBACK, free_port
from tests.chassis import http_app
from tests.chassis.http_app import client_of
from tests.conftest import Bus, Clone, OpenDatabase
from tests.support import bus as stranger
from tests.support.effects import Owner, expect_effects, parked, send
from tests.support.lanes import TOPIC, consuming, handlers, headers, write_in_a_transaction
from tests.support.things import ThingHappened, happened
from tests.support.waiting import until

ODD = 40


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def count_of(name: str, **labels: str) -> float:
    return value(name, **labels) or 0


def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Give every series of ours that the registry holds."""
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in REGISTRY.collect()
        if family.name.startswith("samband")
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


async def test_odd_paths_methods_and_hosts_make_no_series_of_their_own() -> None:
    app = http.create_app(title="demo", version="1", routers=[http_app.router, health.router({})])

    async def drive(client: httpx2.AsyncClient, n: int) -> None:
        for path in (f"/{uuid4()}", f"/v1/things/{uuid4()}", f"/v1/things/{uuid4()}?q={n}", f"/metrics/{n}"):
            await client.request(f"BREW{n}", path)
            await client.get(path, headers={"host": f"host-{n}.example", "x-request-id": str(uuid4())})
        await client.post("/v1/things", json={"name": f"thing {n}", "amount": n % 2})
        await client.get(f"/v1/errors/{['too-many', 'bug', 'outage', 'teapot'][n % 4]}")

    with http_app.logged():
        async with client_of(app) as client:
            for n in range(4):
                await drive(client, n)
            before = series()
            for n in range(4, 4 + ODD):
                await drive(client, n)
    assert series() == before
    ours = [dict(labels) for name, labels in before if name == "samband_http_seconds_count"]
    assert {labels["status"] for labels in ours} <= {f"{n}xx" for n in range(1, 6)}
    assert {labels["method"] for labels in ours} <= {*http.METHODS, "OTHER"}
    assert not any(str(n) in labels["route"] for labels in ours for n in range(4, 10))


@pytest.mark.usefixtures("effects", "quick_retries")
async def test_odd_messages_make_no_series_of_their_own(database: Database, bus: Bus, owner: Owner) -> None:
    async def drive(n: int) -> None:
        for changes in (
            {"ce_type": f"things.Odd{'x' * n}.v1".encode()},
            {"ce_type": f"{'x' * n}".encode()},
            {"ce_source": f"/services/odd{n}".encode(), "ce_type": f"auth.ThingHappened.v{n + 2}".encode()},
            {"ce_specversion": f"{n}.0".encode()},
            {"traceparent": f"{n}".encode()},
        ):
            await stranger.write(
                bus.bootstrap,
                bus.prefix + TOPIC,
                b"{}",
                key=str(uuid4()).encode(),
                headers=headers(ThingHappened.type, changes),
            )

    async def settle(thing_count: int) -> None:
        thing = uuid4()
        await send(bus, ThingHappened(thing_id=thing, n=thing_count))
        await expect_effects(owner, thing, thing_count)

    async with consuming(database, bus, handlers(), retrying=False):
        await drive(1)
        await settle(1)
        before = series()
        for n in range(2, 8):
            await drive(n)
        await settle(2)
        after = series()
    fresh = {(name, labels) for name, labels in after - before if name != "samband_consumer_lag"}
    assert fresh == set()
    lags = [dict(labels) for name, labels in after if name == "samband_consumer_lag"]
    assert {labels["topic"] for labels in lags} <= {TOPIC, "auth.codes.v1"}


@pytest.mark.usefixtures("effects", "quick_retries")
async def test_the_lag_counts_what_is_in_kafka_and_not_handled_also_while_nothing_moves(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing, held = uuid4(), asyncio.Event()

    async def hold(_: int) -> None:
        await held.wait()

    async with consuming(database, bus, handlers(hold)) as consumer:
        lag = Lag(consumer, topic_prefix=bus.prefix)

        async def says(wanted: int) -> bool:
            await lag.ask()
            return _lag() == wanted

        for n in range(5):
            await send(bus, ThingHappened(thing_id=thing, n=n))
        await until(lambda: says(5), what="a lag of five")
        held.set()
        await expect_effects(owner, thing, *range(5))
        await until(lambda: says(0), what="no lag")
        await lag._hide()
    assert {name for name, _ in series() if name == "samband_consumer_lag"} == set()


@pytest.mark.usefixtures("effects", "quick_retries")
async def test_marks_of_transactions_are_no_lag_and_what_comes_behind_them_is(
    database: Database, bus: Bus, owner: Owner
) -> None:
    thing, held, tried = uuid4(), asyncio.Event(), asyncio.Event()

    async def hold(n: int) -> None:
        if n:
            tried.set()
            await held.wait()

    async with consuming(database, bus, handlers(hold)) as consumer:
        lag = Lag(consumer, topic_prefix=bus.prefix)

        async def says(wanted: int) -> bool:
            await lag.ask()
            return sum(lag.now().values()) == wanted

        await write_in_a_transaction(bus, ThingHappened(thing_id=thing, n=0))
        await expect_effects(owner, thing, 0)
        await until(lambda: says(0), what="no lag behind the mark")
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await tried.wait()
        await until(lambda: says(2), what="a lag of the message in hand and the mark before it")
        held.set()
        await expect_effects(owner, thing, 0, 1)
        await until(lambda: says(0), what="no lag")
        await lag._hide()


def _lag() -> float:
    families = [family for family in REGISTRY.collect() if family.name == "samband_consumer_lag"]
    return sum(sample.value for family in families for sample in family.samples)


class _Expired:
    """A consumer whose partition's messages are all gone by retention, of which it has read some."""

    lane = "urgent"
    place = TopicPartition("a.topic", 0)
    in_hand = False

    def __init__(self, *, away: bool = False) -> None:
        self.away = away

    @property
    def client(self) -> "_Expired":
        return self

    def reached(self) -> dict[TopicPartition, int]:
        return {self.place: 40}

    def highwater(self, _: TopicPartition) -> int | None:
        return None

    async def position(self, _: TopicPartition) -> int:
        return 40

    async def beginning_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {self.place: 100}

    async def end_offsets(self, _: object) -> dict[TopicPartition, int]:
        if self.away:
            raise KafkaConnectionError
        return {self.place: 102}


async def test_what_is_gone_by_retention_is_no_lag_and_what_kafka_said_last_stands_while_it_is_away() -> None:
    consumer = _Expired()
    lag = Lag(consumer, topic_prefix="a.")  # type: ignore[arg-type]
    assert lag.now() == {}
    for away in (False, True):
        consumer.away = away
        await lag.ask()
        assert lag.now() == {("topic", 0): 2}
    await lag._hide()


@pytest.mark.usefixtures("effects", "quick_retries")
async def test_tries_of_what_was_set_aside_are_counted_by_what_came_of_them(
    database: Database, bus: Bus, owner: Owner
) -> None:
    outcomes = ("handled", "failed", "parked")
    thing, other = uuid4(), uuid4()
    tried: list[int] = []

    async def fail(n: int) -> None:
        tried.append(n)
        if n == 2 or tried.count(n) < 3:
            raise ValueError

    def counts() -> list[float]:
        return [count_of("samband_dead_letter_tries_total", lane="urgent", outcome=each) for each in outcomes]

    before = counts()
    async with consuming(database, bus, handlers(fail)):
        await send(bus, ThingHappened(thing_id=thing, n=1))
        await send(bus, ThingHappened(thing_id=other, n=2))
        await expect_effects(owner, thing, 1)
        await parked(owner, 1)
    gained = [now - then for now, then in zip(counts(), before, strict=True)]  # A try is counted behind its commit.
    assert gained[0] == 1
    assert gained[1] >= 3
    assert gained[2] == 1


class _Frozen(Watchdog):
    """A watchdog in whose sight a partition has more to read, and stands."""

    place = TopicPartition("t", 0)

    async def _reached(self, _: object) -> dict[TopicPartition, int]:
        return {self.place: 1}

    async def _unread(self, _: object) -> dict[TopicPartition, int]:
        return {self.place: 1}

    async def _stuck(self, lane: WatchedLane, _: object) -> TopicPartition | None:
        return self.place if lane.looks[self.place] >= LOOKS else None


class _Frozenly:
    consumer_group = "things.frozen"
    in_hand = False

    def reached(self) -> dict[TopicPartition, int]:
        return {}


async def test_a_lane_that_stands_is_seen_before_its_process_leaves_and_when_it_does(database: Database) -> None:
    watchdog = _Frozen([_Frozenly()], database.ping, bootstrap="nowhere", seconds=60)  # type: ignore[list-item]
    (lane,) = watchdog._lanes
    group = {"group": "things.frozen"}
    for n in range(1, LOOKS):
        await watchdog.look(lane)
        assert value("samband_unread_looks", **group) == n
    assert not count_of("samband_stuck_exits_total", **group)
    with http_app.logged(), pytest.raises(Stuck):
        await watchdog.look(lane)
    assert value("samband_unread_looks", **group) == LOOKS
    assert value("samband_stuck_exits_total", **group) == 1


async def test_transactions_that_wait_for_a_connection_are_seen(open_as: OpenDatabase) -> None:
    database = await open_as("things", 2)

    def pool() -> list[float]:
        return [count_of(f"samband_pool_{name}", service="things") for name in ("size", "in_use", "waiting")]

    async def work() -> None:
        async with database.transaction() as conn:
            await conn.execute("select 1")

    async def seen() -> bool:
        return pool() == [2, 2, 1]

    async with database.transaction(), database.transaction():
        waiting = asyncio.create_task(work())
        await until(seen, what="one that waits")
    await waiting
    assert pool()[2] == 0


async def test_a_loop_that_is_held_up_is_late_by_as_much() -> None:
    beat = pulse()
    task = asyncio.create_task(beat.run())
    before = count_of("samband_loop_lag_seconds_sum")

    async def beaten(times: float) -> bool:
        return count_of("samband_loop_lag_seconds_count") >= times

    first = count_of("samband_loop_lag_seconds_count")
    await until(lambda: beaten(first + 1), what="a beat")
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: _hold_up(PULSE_SECONDS + 0.4))
    await until(lambda: beaten(first + 2), what="a late beat")
    beat.stop()
    await task
    assert count_of("samband_loop_lag_seconds_sum") - before >= 0.3


def _hold_up(seconds: float) -> None:
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        pass


async def test_a_relay_that_no_longer_leads_shows_nothing_of_the_outbox(
    database: Database, clone: Clone, owner: Owner
) -> None:
    async with database.transaction() as conn:
        await outbox.add(conn, happened(1))
    relay = Relay(clone.urls("things").app, "things", _Silent())  # type: ignore[arg-type]
    task = asyncio.create_task(relay.run())

    async def leads() -> bool:
        return value("samband_outbox_depth", service="things") == 1

    await until(leads, what="the relay to lead and to count")
    assert value("samband_relay_leads", service="things") == 1
    for what in ("key", "topic"):
        telemetry.OUTBOX_HELD.labels(service="things", what=what).set(1)
    relay.stop()
    await task
    assert value("samband_relay_leads", service="things") == 0
    assert value("samband_outbox_depth", service="things") is None
    assert value("samband_outbox_oldest_seconds", service="things") is None
    assert value("samband_outbox_held", service="things", what="key") is None
    assert value("samband_outbox_held", service="things", what="topic") is None


class _Silent:
    """A sender for which Kafka is never there."""

    async def partition(self, *_: object) -> int:
        raise TimeoutError

    async def discard(self) -> None:
        return

    async def close(self) -> None:
        return


async def test_metrics_have_a_port_of_their_own_where_one_is_named() -> None:
    port = free_port()
    app = http.create_app(title="demo", version="1", routers=[health.router({}, shows_metrics=False)])
    with health.showing_metrics(LOOPBACK, port):
        async with client_of(app) as inside, httpx2.AsyncClient(trust_env=False) as outside:
            assert (await inside.get("/metrics")).status_code == 404
            answer = await outside.get(f"http://{LOOPBACK}:{port}/metrics")
        assert "# TYPE samband_outbox_depth gauge" in answer.text
        with (
            pytest.raises(Misconfigured, match=f"cannot listen on {LOOPBACK}:{port} for /metrics"),
            health.showing_metrics(LOOPBACK, port),
        ):
            pass
