"""Kafka: the one that is given, or one of our own, and what is said where there is no Java."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local import kafka, kafka_jars
from deploy.local.errors import SetupError
from deploy.local.kafka import Topic

needs_kafka = pytest.mark.skipif(kafka.ADDRESS not in os.environ, reason=f"{kafka.ADDRESS} is not set")


@pytest.fixture
def bootstrap() -> str:
    return os.environ[kafka.ADDRESS]


@pytest.fixture
def name() -> str:
    return f"deploy.{uuid.uuid4().hex}.v1"


def fake_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


async def partitions_of(bootstrap: str, name: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([name])
        return len(topic["partitions"])
    finally:
        await admin.close()


@needs_kafka
async def test_a_given_address_is_used_and_nothing_started(tmp_path: Path, bootstrap: str) -> None:
    async with kafka.provide(tmp_path) as address:
        assert address == bootstrap
        assert not (tmp_path / "kafka").exists()


async def test_a_given_address_must_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kafka.ADDRESS, "127.0.0.1:1")

    with pytest.raises(SetupError, match=r"SAMBAND_LOCAL_KAFKA=127\.0\.0\.1:1 does not answer"):
        async with kafka.provide(tmp_path):
            pass


@needs_kafka
async def test_a_topic_gets_its_partitions_and_settings(bootstrap: str, name: str) -> None:
    await kafka.create_topics(bootstrap, [Topic(name, 3, {"retention.ms": "3600000"})])

    assert await partitions_of(bootstrap, name) == 3
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": None})])
    await admin.close()
    ((_, _, _, _, ((setting, value, *_),)),) = answer.resources
    assert (setting, value) == ("retention.ms", "3600000")


@needs_kafka
async def test_creating_a_topic_again_changes_nothing(bootstrap: str, name: str) -> None:
    await kafka.create_topics(bootstrap, [Topic(name, 2)])
    await kafka.create_topics(bootstrap, [Topic(name, 5)])

    assert await partitions_of(bootstrap, name) == 2


@needs_kafka
async def test_a_refused_topic_is_named_and_the_others_are_made(bootstrap: str, name: str) -> None:
    with pytest.raises(SetupError, match="topic not/legal: InvalidTopic"):
        await kafka.create_topics(bootstrap, [Topic("not/legal"), Topic(name)])

    assert await partitions_of(bootstrap, name) == 1


async def test_missing_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SetupError, match=r"there is no java in PATH(.|\n)*apt install(.|\n)*brew install"):
        await kafka_jars.java()


@pytest.mark.parametrize(
    ("said", "named"), [("1.8.0_412", "is Java 8"), ("11.0.2", "is Java 11"), (None, "does not say")]
)
async def test_an_unfit_java_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, named: str
) -> None:
    fake_program(tmp_path / "bin", "java", f"echo 'openjdk version \"{said}\"' >&2" if said else "exit 1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(SetupError, match=f"Kafka needs Java 17 or newer; {tmp_path}/bin/java {named}"):
        await kafka_jars.java()


async def test_missing_maven_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SetupError, match=r"there is no mvn in PATH(.|\n)*maven"):
        await kafka_jars.jars(print, store=tmp_path / "store")


async def test_two_runs_at_once_fetch_the_jars_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(tmp_path / "bin", "mvn", f"echo fetched >> {tmp_path}/fetches")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    store = tmp_path / "store"

    first, second = await asyncio.gather(kafka_jars.jars(print, store=store), kafka_jars.jars(print, store=store))

    assert first == second
    assert (tmp_path / "fetches").read_text() == "fetched\n"


async def test_a_fetch_that_failed_leaves_nothing_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_program(tmp_path / "bin", "mvn", "echo 'no route to the repository'; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    with pytest.raises(SetupError, match="no route to the repository"):
        await kafka_jars.jars(print, store=tmp_path / "store")

    assert not (tmp_path / "store" / f"kafka-{kafka_jars.VERSION}").exists()


def test_the_pom_asks_for_the_version_that_the_folder_is_named_after() -> None:
    assert f"<version>{kafka_jars.VERSION}</version>" in (kafka_jars.NODE_FILES / "pom.xml").read_text()
