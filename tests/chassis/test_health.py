"""Life is asked of the process alone, readiness of what it needs, and neither tells why."""

import asyncio
import time

import pytest
from fastapi import FastAPI

from chassis import health, http
from tests.chassis.http_app import client_of, logged


async def _fine() -> None:
    return


async def _broken() -> None:
    raise ConnectionRefusedError("postgresql://user:canary@db")


async def _stuck() -> None:
    await asyncio.Event().wait()


def _app(checks: dict[str, health.Check], reason: str | None = None) -> FastAPI:
    routes = health.router(checks, alive=lambda: reason)
    return http.create_app(title="demo", version="1", routers=[routes])


@pytest.mark.goal("ops-O3")
async def test_life_does_not_depend_on_anything_outside() -> None:
    async with client_of(_app({"postgres": _broken, "kafka": _stuck})) as client:
        answer = await client.get("/livez")
    assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_a_process_that_says_it_is_stuck_does_not_live() -> None:
    async with client_of(_app({}, "no batch has moved for 60 s")) as client:
        answer = await client.get("/livez")
    assert (answer.status_code, answer.text) == (503, "no batch has moved for 60 s\n")


@pytest.mark.goal("ops-O3")
async def test_readiness_names_what_failed_and_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SECONDS", 0.05)
    checks: dict[str, health.Check] = {"kafka": _stuck, "keys": _fine, "postgres": _broken}
    with logged() as lines:
        async with client_of(_app(checks)) as client:
            answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "failed: kafka, postgres\n")
    assert {(line["check"], line["error"]) for line in lines} == {
        ("kafka", "TimeoutError"),
        ("postgres", "ConnectionRefusedError"),
    }
    assert "canary" not in str(lines)


async def test_checks_run_side_by_side_and_no_longer_than_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SECONDS", 0.2)
    checks: dict[str, health.Check] = {f"check_{number}": _stuck for number in range(20)}
    started = time.monotonic()
    async with client_of(_app(checks)) as client:
        assert (await client.get("/readyz")).status_code == 503
    assert time.monotonic() - started < 3


async def test_a_process_is_ready_when_every_check_passes() -> None:
    async with client_of(_app({"keys": _fine})) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_metrics_are_given_as_prometheus_reads_them() -> None:
    async with client_of(_app({})) as client:
        await client.get("/livez")
        answer = await client.get("/metrics")
        document = (await client.get("/openapi.json")).json()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'samband_http_seconds_count{method="GET",route="/livez",status="2xx"}' in answer.text
    assert document["paths"] == {}
