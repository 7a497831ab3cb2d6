"""A long queue behind a dead letter: nobody in it is tried before his turn."""

import pytest

from chassis import dead_letters
from chassis.dead_letters import Retries, Waits
from chassis.postgres import Database
from tests.chassis.test_dead_letters import Owner, arrival, set_aside
from tests.support.lanes import CREATE_EFFECTS, handlers

COPY = """
insert into things.dead_letters (lane, topic, partition, "offset", key_digest, source, message_id, type, sealed_record,
    reason, attempts, next_attempt_at)
select lane, topic, partition, "offset" + n, key_digest, source, message_id || n, type, sealed_record, reason, 0, now()
from things.dead_letters, generate_series(1, 600) as n where reason like 'Waits%'"""


@pytest.mark.goal("rel-R3")
async def test_a_queue_that_is_longer_than_what_is_put_off_at_once_waits_too(database: Database, owner: Owner) -> None:
    await owner.execute(CREATE_EFFECTS)
    await set_aside(database, arrival(1))
    await set_aside(database, arrival(2), error=Waits("for an earlier message of its key"))
    await owner.execute(COPY)
    await owner.execute("update things.dead_letters set next_attempt_at = now(), parked_at = null")
    await owner.execute("update things.dead_letters set parked_at = now() where attempts > 0")
    for _ in range(3):
        assert await Retries(database, handlers()).tick() == 0
    assert await owner.fetchval("select count(*) from things.effects") == 0
    async with database.transaction() as conn:
        assert await dead_letters.release(conn, None) == 1
    assert await Retries(database, handlers()).tick() == 1
    assert await owner.fetchval("select n from things.effects") == 1


async def test_what_one_has_claimed_is_claimed_by_nobody_else_while_the_claim_lasts(
    database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0.0)  # Due again at once: only the claim holds others off.
    await set_aside(database, arrival())
    await owner.execute("update things.dead_letters set next_attempt_at = now()")
    claimed = []
    for _ in range(2):
        async with database.transaction() as conn:
            claimed.append(await dead_letters.claim_due(conn, seconds=60))
    assert [letter is not None for letter in claimed] == [True, False]
