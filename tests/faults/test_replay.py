"""What was published can be sent again, even when the bus has lost all of it (rel-R8)."""

import hashlib

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import kafka
from tests.faults import inspection
from tests.faults.ledger.messages import ENTRIES
from tests.faults.round import Order, play
from tests.faults.stage import Stage
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180)

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
    result = await play(stage, Order(8, 60, 0, 40.0, (), misbehaving_mail=False))
    assert result.findings.clean
    before = await digest(stage)
    for keeper in (mirrors := stage.of("mirror")):
        await keeper.kill()
    await _lose_topic(stage)
    since = await inspection.begin(stage)
    said = await stage.platform.run("ledger", "outbox", "replay", "--since", "7d")
    assert '"owed_again": 0' not in said
    for keeper in mirrors:
        await keeper.ready()

    async def read_again() -> bool:
        return not await inspection.unread(stage) and sum((await inspection.begin(stage)).offsets.values()) > sum(
            since.offsets.values()
        )

    await until(read_again, what="everything to be read again", seconds=60)
    assert await digest(stage) == before


async def _lose_topic(stage: Stage) -> None:
    """Delete the topic and make it anew, as operators would who lost their Kafka; positions go with it."""
    name = stage.platform.topic_prefix + ENTRIES.name
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name])
        await until(lambda: _is_gone(admin, name), what="the topic to be gone")
    finally:
        await admin.close()
    await kafka.create_topics(stage.broker.bootstrap, [kafka.Topic(name, ENTRIES.partitions, ENTRIES.config())])
    async with stage.admin() as conn:
        await conn.execute("delete from mirror.consumer_positions where topic = $1", ENTRIES.name)


async def _is_gone(admin: AIOKafkaAdminClient, name: str) -> bool:
    return name not in await admin.list_topics()
