"""The container path of the local stack: real servers from images, through testcontainers."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from deploy.local import kafka, postgres, processes
from deploy.local.folders import CHECKOUT
from tests.containers.conftest import Local
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

USE = """
import asyncio, json, os, sys
import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from deploy.local import kafka, postgres
from deploy.local.topics import Topic, create_topics

async def use():
    conn = await asyncpg.connect(os.environ[postgres.ADDRESS])
    version = await conn.fetchval("show server_version_num")
    fsync = await conn.fetchval("show fsync")
    await conn.close()
    bootstrap = os.environ[kafka.ADDRESS]
    await create_topics(bootstrap, [Topic("letters")])
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("letters", b"hello")
    async with AIOKafkaConsumer("letters", bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        record = await asyncio.wait_for(consumer.getone(), 30)
    print(json.dumps({"version": int(version), "fsync": fsync, "value": record.value.decode()}), flush=True)
    await asyncio.sleep(float(sys.argv[1]))

asyncio.run(use())
"""


def command(seconds: float) -> list[str]:
    """The stack with a program beside it that uses both servers and then stays for a while."""
    stack = [sys.executable, "-m", "deploy.local.stack", "run", "--kind", "test"]
    return [*stack, "--", sys.executable, "-c", USE, str(seconds)]


def said_in(log: Path) -> str:
    return log.read_text()


async def test_postgres_and_kafka_from_images_do_their_work_and_leave_nothing(local: Local, run_log: Path) -> None:
    before = local.running()
    stack = await processes.start("stack", command(0), log=run_log, environment=local.environment, folder=CHECKOUT)
    await processes.finish(stack, within=200)
    (said,) = [json.loads(line) for line in said_in(run_log).splitlines() if line.startswith("{")]
    assert said["version"] // 10_000 == 18
    assert (said["fsync"], said["value"]) == ("off", "hello")
    assert local.running() <= before


async def test_the_containers_of_a_killed_controller_are_removed(local: Local, run_log: Path) -> None:
    before = local.running()

    async def uses_them() -> bool:
        return "hello" in said_in(run_log)

    async def are_gone() -> bool:
        return await asyncio.to_thread(local.running) <= before

    stack = await processes.start("stack", command(600), log=run_log, environment=local.environment, folder=CHECKOUT)
    async with processes.running(stack):
        await until(uses_them, what="both servers in use", seconds=120)
        assert len(local.running() - before) == 2
        stack.kill()
        await stack.wait()
    await until(are_gone, what="the containers' end", seconds=60)


@pytest.mark.parametrize(("setting", "kind"), [(postgres.IMAGE, "postgres"), (kafka.IMAGE, "kafka")])
async def test_an_image_that_nobody_has_is_named(local: Local, run_log: Path, setting: str, kind: str) -> None:
    environment = {**local.environment, setting: f"127.0.0.1:1/samband/no-{kind}:none"}
    stack = await processes.start("stack", command(0), log=run_log, environment=environment, folder=CHECKOUT)
    async with asyncio.timeout(120):
        code = await stack.wait()
    assert code == 1
    said = said_in(run_log)
    assert f"the image 127.0.0.1:1/samband/no-{kind}:none cannot be fetched" in said
    assert "Traceback" not in said
