"""What was published can be sent again, even when the bus has lost all of it (rel-R8)."""

import hashlib
import json
from contextlib import AsyncExitStack

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import kafka
from tests.faults import inspection
from tests.faults.ledger.messages import ENTRIES
from tests.faults.round import Order, play
from tests.faults.stage import Stage
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180)

COMMANDS = 60

STATE = """
select string_agg(t::text, ',' order by t::text) from (
    select book_id, version, entry_id, event_id from mirror.effects union all
    select book_id, entries, null, 'total' from mirror.totals) as t"""


async def digest(stage: Stage) -> str:
    """Digest all that the mirror has made of the events."""
    async with stage.admin() as conn:
        return hashlib.sha256((await conn.fetchval(STATE)).encode()).hexdigest()


@pytest.mark.goal("rel-R8")
async def test_replaying_everything_after_the_topic_was_lost_changes_no_state(stage: Stage) -> None:
    result = await play(stage, Order(8, COMMANDS, 0, 40.0, (), misbehaving_mail=False))
    assert result.findings.clean
    before = await digest(stage)
    async with AsyncExitStack() as away:
        for keeper in (mirrors := stage.of("mirror")):
            await away.enter_async_context(keeper.away())
        await _lose_topic(stage)
    said = await stage.platform.run("ledger", "outbox", "replay", "--since", "7d")
    owed = int(json.loads(said.splitlines()[-1])["owed_again"])
    assert owed >= COMMANDS * 3 // 4
    for keeper in mirrors:
        await keeper.ready()

    async def read_again() -> bool:
        return await _records(stage) == owed and not await inspection.unread(stage)

    await until(read_again, what="everything to be read again", seconds=60)
    assert await digest(stage) == before


async def _records(stage: Stage) -> int:
    """Count what has come to the topic since it was made anew."""
    offsets = (await inspection.begin(stage)).offsets
    return sum(end for place, end in offsets.items() if place.topic.endswith(ENTRIES.name))


async def _lose_topic(stage: Stage) -> None:
    """Delete the topic and make it anew, as operators would who lost their Kafka; its readers find out by themselves."""
    name = stage.platform.topic_prefix + ENTRIES.name
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name])
        await until(lambda: _is_gone(admin, name), what="the topic to be gone")
    finally:
        await admin.close()
    await kafka.create_topics(stage.broker.bootstrap, [kafka.Topic(name, ENTRIES.partitions, ENTRIES.config())])


async def _is_gone(admin: AIOKafkaAdminClient, name: str) -> bool:
    return name not in await admin.list_topics()
