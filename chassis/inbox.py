"""Inbox: act on each message once, however often Kafka brings it, and know where to go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chassis.postgres import Connection, WentBack

# One statement a batch: which messages are new, which keys have a message set aside, and where the partitions go on. Who
# lost a partition with a batch in hand may commit it after its successor has come further: the position stays there.
CLAIM = """
with positions as (
    insert into consumer_positions (lane, topic, partition, next_offset, last_offset, last_message)
    select $1, topic, partition, offs + 1, offs, message
    from unnest($4::text[], $5::int[], $6::bigint[], $9::text[]) as reached (topic, partition, offs, message)
    on conflict on constraint consumer_positions_pk do update set
        next_offset = excluded.next_offset, last_offset = excluded.last_offset, last_message = excluded.last_message
        where consumer_positions.next_offset < excluded.next_offset
    returning topic, partition, old.next_offset as before
),
fresh as (
    insert into inbox (source, message_id) select * from unnest($2::text[], $3::text[])
    on conflict on constraint inbox_pk do nothing returning source, message_id
)
select source, message_id, null::bytea as key_digest from fresh
union all
select topic, null, key_digest from dead_letters
where lane = $1 and (topic, key_digest) in (select * from unnest($7::text[], $8::bytea[])) group by topic, key_digest
union all
select topic, null, null from positions
join unnest($4::text[], $5::int[], $10::bigint[]) as seen (topic, partition, offs) using (topic, partition)
where coalesce(positions.before, 0) < seen.offs"""

SELECT_BLOCKED = """
select topic, key_digest from dead_letters
where lane = $1 and (topic, key_digest) in (select * from unnest($2::text[], $3::bytea[])) group by topic, key_digest"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a lane goes on in a partition; `last_message` is what lay right before, where that is known."""

    next_offset: int
    last_message: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a batch may do: `fresh` are (source, message id) never handled before, `blocked` are (topic, key digest)."""

    fresh: set[tuple[str, str]]
    blocked: set[tuple[str, bytes]]


async def claim(  # noqa: PLR0913 -- one argument for each part of the one statement.
    conn: Connection,
    lane: str,
    messages: Sequence[tuple[str, str]],
    *,
    reached: Sequence[tuple[str, int, int, str | None]],
    keys: Sequence[tuple[str, bytes]],
    seen: Sequence[int] = (),
) -> Claim:
    """Note messages as handled and how far partitions are read, in the caller's transaction.

    `reached` are (topic, partition, offset, message) of the last message of each partition; a position never goes back.
    `keys` are the (topic, key digest) whose dead letters matter. Another consumer that holds the same message is waited
    for. What it set aside meanwhile is not in this statement's snapshot, so the blocked keys are read again whenever some
    message was not new. `seen` are the positions that the caller knows to have been there. Raises `WentBack` where one is
    behind that.
    """
    asked = _columns(keys, 2)
    *places, last = _columns(reached, 4)
    rows = await conn.fetch(CLAIM, lane, *_columns(messages, 2), *places, *asked, last, seen or [0] * len(reached))
    if behind := [row[0] for row in rows if row[1] is None and row[2] is None]:
        raise WentBack(f"the position of {behind[0]} is behind what was read of it")
    fresh = {(row[0], row[1]) for row in rows if row[1] is not None}
    if len(fresh) < len(set(messages)):
        rows = await conn.fetch(SELECT_BLOCKED, lane, *asked)
        return Claim(fresh, {(row[0], row[1]) for row in rows})
    return Claim(fresh, {(row[0], row[2]) for row in rows if row[1] is None})


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(count)]


# A position that was set back, or written by a release that knew no last message, says nothing of what lies before it.
SELECT_POSITIONS = """
select topic, partition, next_offset, case when last_offset = next_offset - 1 then last_message end
from consumer_positions where lane = $1"""


async def positions(conn: Connection, lane: str) -> dict[tuple[str, int], Position]:
    """Give where this lane goes on in each (topic, partition) that it has read."""
    return {(row[0], row[1]): Position(row[2], row[3]) for row in await conn.fetch(SELECT_POSITIONS, lane)}


DELETE_POSITIONS = """
delete from consumer_positions
where lane = $1 and (topic, partition) in (select * from unnest($2::text[], $3::int[]))"""


async def forget_positions(conn: Connection, lane: str, partitions: Sequence[tuple[str, int]]) -> None:
    """Forget where a lane was in (topic, partition)s that are read anew, so that the next claim may set it back."""
    await conn.execute(DELETE_POSITIONS, lane, *_columns(partitions, 2))


COUNT_TRIAL = """
insert into consumer_trials (lane, topic, partition, "offset", trials) values ($1, $2, $3, $4, 1)
on conflict on constraint consumer_trials_pk do update set trials = consumer_trials.trials + 1
returning trials"""


async def count_trial(conn: Connection, lane: str, topic: str, partition: int, offset: int) -> int:
    """Count one more trial of a message, to be committed before it is tried; gives how often it has been tried."""
    return int(await conn.fetchval(COUNT_TRIAL, lane, topic, partition, offset))


UNCOUNT_TRIAL = """
update consumer_trials set trials = trials - 1
where lane = $1 and topic = $2 and partition = $3 and "offset" = $4"""


async def take_trial_back(conn: Connection, lane: str, topic: str, partition: int, offset: int) -> None:
    """Count one trial of a message less: it ended without the message being at fault."""
    await conn.execute(UNCOUNT_TRIAL, lane, topic, partition, offset)


DELETE_TRIALS = """
delete from consumer_trials where lane = $1 and topic = $2 and partition = $3 and "offset" <= $4"""


async def end_trials(conn: Connection, lane: str, topic: str, partition: int, offset: int) -> None:
    """Forget the trials of the messages up to this one: they did not kill the process."""
    await conn.execute(DELETE_TRIALS, lane, topic, partition, offset)


INSERT_HANDLED = """
insert into inbox (source, message_id) values ($1, $2) on conflict on constraint inbox_pk do nothing"""


async def note(conn: Connection, source: str, message_id: str) -> bool:
    """Note a message as handled without its effect, which is there already; False when it was noted before."""
    return await conn.execute(INSERT_HANDLED, source, message_id) == "INSERT 0 1"


PRUNE = """
delete from inbox where ctid in (
    select ctid from inbox where handled_at < now() - make_interval(days => $1) limit $2)"""


async def prune(conn: Connection, *, days: int, limit: int) -> int:
    """Forget messages handled that many days ago, a bounded number at a time; gives how many."""
    status = await conn.execute(PRUNE, days, limit)
    return int(status.rpartition(" ")[2])
