"""A service answers for its health from its first moment, serves when its database is there, and stops when asked."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter

from chassis import access, migrate
from chassis.errors import Misconfigured
from chassis.service import Runtime, Service, serve
from chassis.settings import ServiceSettings
from deploy.local.ports import LOOPBACK, free_port
from tests.conftest import Clone, given
from tests.support.forwarding import Forwarder, forwarding
from tests.support.spans import Sent, collecting
from tests.support.waiting import until


def routers(runtime: Runtime[ServiceSettings]) -> Sequence[APIRouter]:
    routes = APIRouter(prefix="/v1", dependencies=[access.anyone("a test asks")])

    @routes.get("/things")
    async def count_things() -> int:
        async with runtime.database.transaction() as conn:
            return int(await conn.fetchval("select count(*) from outbox"))

    return [routes]


SERVICE = Service("things", ServiceSettings, Path(__file__).parent, routers=routers)


def settings_of(clone: Clone, database_url: str) -> ServiceSettings:
    keys = clone.cluster.keys
    return ServiceSettings(
        database_url=database_url,
        kafka=given("SAMBAND_LOCAL_KAFKA"),
        topic_prefix="nowhere.",
        public_keys=keys / "public",
        private_keys=keys / "private" / "things.json",
        http_port=free_port(),
        drain_seconds=0,
    )


class Served:
    """A service that runs in this process, asked over HTTP."""

    def __init__(self, task: "asyncio.Task[int]", client: httpx2.AsyncClient) -> None:
        self.task = task
        self.client = client

    async def answer(self, path: str) -> httpx2.Response:
        """Ask as soon as somebody listens."""

        async def asked() -> httpx2.Response | None:
            if self.task.done():
                raise AssertionError(f"it has ended: {self.task}")
            try:
                return await self.client.get(path)
            except httpx2.ConnectError:
                return None

        return await until(asked, what="an answer")

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return (await self.answer("/readyz")).status_code == httpx2.codes.OK

        await until(is_ready, what="a service that is ready")


@asynccontextmanager
async def serving(
    settings: ServiceSettings, *, worker: bool = False, of: Service[Any] = SERVICE
) -> AsyncIterator[Served]:
    task = asyncio.create_task(serve(of, settings, api=not worker, worker=worker))
    url = f"http://{LOOPBACK}:{settings.http_port}"
    async with httpx2.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
        served = Served(task, client)
        try:
            yield served
        finally:
            if not task.done():
                await served.answer("/livez")  # From then on the signal is heard.
                os.kill(os.getpid(), signal.SIGTERM)
                async with asyncio.timeout(30):
                    await task


@pytest.fixture
async def postgres(clone: Clone) -> AsyncIterator[Forwarder]:
    async with forwarding(clone.urls("things").app) as forwarder:
        yield forwarder


@pytest.mark.goal("ops-O3")
@pytest.mark.parametrize("worker", [False, True], ids=["api", "worker"])
async def test_a_process_that_waits_for_postgres_lives_is_not_ready_and_measures(
    worker: bool, clone: Clone, postgres: Forwarder
) -> None:
    async with serving(settings_of(clone, postgres.url), worker=worker) as served:
        assert (await served.answer("/livez")).status_code == httpx2.codes.OK
        ready = await served.answer("/readyz")
        assert (ready.status_code, ready.text) == (503, "failed: postgres\n")
        assert (await served.answer("/metrics")).status_code == httpx2.codes.OK


@pytest.mark.goal("ops-O3")
async def test_its_routes_are_refused_until_postgres_answers_and_served_from_then_on(
    clone: Clone, postgres: Forwarder
) -> None:
    async with serving(settings_of(clone, postgres.url)) as served:
        refused = await served.answer("/v1/things")
        assert refused.status_code == httpx2.codes.SERVICE_UNAVAILABLE
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "5"
        assert refused.json()["type"] == "urn:samband:problem:unavailable"
        assert (await served.client.post("/v1/things", json={})).status_code == httpx2.codes.SERVICE_UNAVAILABLE
        await postgres.open()
        await served.ready()
        answer = await served.answer("/v1/things")
        assert (answer.status_code, answer.json()) == (200, 0)
        assert (await served.answer("/v1/nothing")).status_code == httpx2.codes.NOT_FOUND


async def test_it_stops_in_order_when_asked_while_it_waits_for_postgres(clone: Clone, postgres: Forwarder) -> None:
    async with serving(settings_of(clone, postgres.url)) as served:
        await served.answer("/livez")
    assert served.task.result() == 0


async def test_it_stops_in_order_when_asked_while_it_serves(clone: Clone) -> None:
    async with serving(settings_of(clone, clone.urls("things").app)) as served:
        await served.ready()
    assert served.task.result() == 0


async def test_a_schema_that_lacks_a_migration_is_said_and_the_port_is_free_again(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = [migrate.Migration("things", 1, "0001_never_applied.sql", "select 1")]
    monkeypatch.setattr(Service, "migrations", lacking)
    settings = settings_of(clone, clone.urls("things").app)
    with pytest.raises(Misconfigured, match="lacks 1 migration"):
        await serve(SERVICE, settings, api=True, worker=False)
    monkeypatch.undo()
    async with serving(settings) as served:
        await served.ready()


async def test_a_part_that_fails_ends_the_process_with_a_failure(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("chassis.relay.Relay.run", fail)
    async with serving(settings_of(clone, clone.urls("things").app), worker=True) as served:
        async with asyncio.timeout(30):
            assert await served.task == 1


@pytest.mark.goal("rel-R12")
async def test_one_that_is_told_to_stop_is_not_ready_and_goes_on_for_a_while(clone: Clone) -> None:
    settings = settings_of(clone, clone.urls("things").app).model_copy(update={"drain_seconds": 3})
    async with serving(settings) as served:
        await served.ready()
        os.kill(os.getpid(), signal.SIGTERM)

        async def is_not_ready() -> bool:
            return (await served.answer("/readyz")).text == "failed: parts\n"

        await until(is_not_ready, what="a service that is not ready")
        assert (await served.answer("/v1/things")).status_code == httpx2.codes.OK
        async with asyncio.timeout(30):
            assert await served.task == 0


THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_it_shows_its_metrics_on_a_port_of_their_own_and_sends_its_spans(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        own = {"metrics_port": free_port(), "trust_traceparent": True}
        settings = settings_of(clone, clone.urls("things").app).model_copy(update=own)
        async with serving(settings) as served:
            await served.ready()
            await served.client.get("/v1/things", headers={"traceparent": THEIRS})
            assert (await served.client.get("/metrics")).status_code == httpx2.codes.NOT_FOUND
            metrics = await served.client.get(f"http://{LOOPBACK}:{settings.metrics_port}/metrics")
            assert "samband_build_info{" in metrics.text
            assert 'service="things"' in metrics.text

            async def came() -> list[Sent] | None:
                return collector.named("GET /v1/things") or None

            (span,) = await until(came, what="the span of the request")
        assert (span.service, span.trace) == ("things", THEIRS.split("-")[1])


async def test_an_endpoint_for_spans_that_is_none_is_said_before_anything_starts(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")
    settings = settings_of(clone, clone.urls("things").app)
    with pytest.raises(Misconfigured, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        await serve(SERVICE, settings, api=True, worker=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    async with serving(settings) as served:  # The port is free again.
        await served.ready()
