"""The janitor forgets what is past its days, a bounded number at a time, and nothing younger."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis import janitor
from chassis.janitor import INBOX_DAYS
from chassis.postgres import Database
from chassis.settings import ServiceSettings
from contracts import topics
from tests.conftest import Bus
from tests.support import bus as stranger
from tests.support.effects import Owner, expect_effects, send
from tests.support.lanes import TOPIC, consuming, handlers, headers
from tests.support.things import ThingHappened

FILL_INBOX = """
insert into things.inbox (source, message_id, handled_at)
select 'test', n::text, now() - make_interval(days => $1) - interval '1 second' * (case when n > 0 then 1 else -60 end)
from generate_series($2::int, $3::int) n"""
FILL_KEYS = """
insert into things.idempotency_keys (caller, key, route, request_digest, answer, created_at)
select sha256('caller'), n::text, 'POST /x', sha256('x'), '{}',
    now() - interval '24 hours' + interval '1 second' * (case when n > 0 then -1 else 60 end)
from generate_series($1::int, $2::int) n"""
FILL_LETTERS = """
insert into things.dead_letters (lane, topic, partition, "offset", source, message_id, sealed_record, reason, attempts,
    next_attempt_at, parked_at, purge_at)
select 'urgent', 't', 0, n, 'test', n::text, 'x', 'x', 1, now(), now(),
    case n when 1 then now() - interval '1 second' when 2 then now() + interval '1 minute' end
from generate_series(1, 3) n"""


async def left(owner: Owner, table: str, column: str) -> list[int]:
    rows = await owner.fetch(f"select {column}::bigint as n from things.{table} order by 1")  # noqa: S608 -- our own.
    return [row["n"] for row in rows]


async def tick(database: Database) -> int:
    return await janitor.loop(database)._tick()


@pytest.mark.goal("rel-R9")
async def test_messages_handled_longer_ago_than_the_window_go_and_younger_stay(
    database: Database, owner: Owner
) -> None:
    await owner.execute(FILL_INBOX, INBOX_DAYS, -2, 3)
    assert await tick(database) == 0
    assert await left(owner, "inbox", "message_id") == [-2, -1, 0]


@pytest.mark.goal("rel-R9")
async def test_an_event_that_waited_thirty_days_is_handled_once_for_it_is_remembered_from_then_on(
    database: Database, bus: Bus, owner: Owner, effects: None
) -> None:
    """Its age is no reason to refuse it, for its sender's relay may have waited, nor to forget it sooner."""
    thing, event_id = uuid4(), str(uuid4())
    message = ThingHappened(thing_id=thing, n=1)
    written = (datetime.now(UTC) - timedelta(days=30)).isoformat().encode()
    given = headers(message.type, {"ce_time": written}, event_id=event_id)
    value, key = message.model_dump_json().encode(), message.key.encode()
    async with consuming(database, bus, handlers()):
        for n in range(2):
            await stranger.write(bus.bootstrap, bus.prefix + TOPIC, value, key=key, headers=given)
            await send(bus, ThingHappened(thing_id=thing, n=n + 2))
            await expect_effects(owner, thing, *range(1, n + 3))
            await tick(database)


@pytest.mark.goal("rel-R9")
def test_what_is_replayed_on_the_archives_last_day_is_remembered_until_its_topic_drops_it() -> None:
    """The window begins when a message was handled, which may be as long before the replay as the archive reaches."""
    most = ServiceSettings.model_json_schema()["properties"]["archive_days"]["maximum"]
    longest = max(topic.retention for topic in topics.ALL)
    assert timedelta(days=INBOX_DAYS) >= timedelta(days=most) + longest + timedelta(days=7)


async def test_idempotency_keys_go_after_a_day(database: Database, owner: Owner) -> None:
    await owner.execute(FILL_KEYS, -2, 3)
    assert await tick(database) == 0
    assert await left(owner, "idempotency_keys", "key") == [-2, -1, 0]


async def test_a_set_aside_message_with_a_secret_goes_when_its_time_is_over_and_others_stay(
    database: Database, owner: Owner
) -> None:
    await owner.execute(FILL_LETTERS)
    assert await tick(database) == 0
    assert await left(owner, "dead_letters", "message_id") == [2, 3]


@pytest.mark.parametrize("table", ["inbox", "idempotency_keys"])
async def test_it_comes_again_at_once_while_there_is_a_whole_chunk_to_forget(
    table: str, database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "CHUNK", 10)
    if table == "inbox":
        await owner.execute(FILL_INBOX, INBOX_DAYS, 1, 25)
    else:
        await owner.execute(FILL_KEYS, 1, 25)
    assert [await tick(database) for _ in range(4)] == [1, 1, 0, 0]
    assert await left(owner, table, "1") == []


async def test_rows_that_somebody_holds_do_not_stop_the_others(database: Database, owner: Owner) -> None:
    await owner.execute(FILL_KEYS, 1, 3)
    async with owner.transaction():
        await owner.execute("select from things.idempotency_keys where key = '2' for update")
        await tick(database)
    assert await left(owner, "idempotency_keys", "key") == [2]
    await tick(database)
    assert await left(owner, "idempotency_keys", "key") == []


def test_it_looks_every_minute(database: Database) -> None:
    running = janitor.loop(database)
    assert (running.name, running._every) == ("janitor", 60.0)
