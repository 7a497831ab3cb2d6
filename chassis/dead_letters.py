"""Dead letters: a message that cannot be handled is set aside whole, retried with back-off, and parked for a person.

The first of a key is tried again, in order; later ones of the key wait behind it, all others go on. The attempt is
counted, and committed, before the message is tried, and claimed until some time: one that kills its process leaves a
claim that runs out, which is counted as a death.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from chassis import telemetry
from chassis.arrival import Arrival
from chassis.errors import Refusal
from chassis.failpoints import reach
from chassis.handlers import Handlers, Hung
from chassis.loop import Loop, backoff
from chassis.postgres import Connection, Database, is_outage
from chassis.sealing import Place
from contracts import topics

log = structlog.get_logger()

ATTEMPTS = 5
HUNG_ATTEMPTS = 3
"""The most for a handler that does not return: each attempt holds up others for all of its time."""
DEATHS = 3
"""The most for a message that kills its process."""
LOOPS = 4
CLAIM_MARGIN_SECONDS = 4.0
"""How much longer a claim lasts than the handler may take. Three that run out must fit in a minute; what is being handled
is locked, so that even one who comes late to his claim is disturbed by nobody."""
MEASURE_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 1.5
FOLLOWER_SECONDS = 30.0
BELL = "dead_letters"

INSERT_DEAD_LETTER = """
insert into dead_letters (lane, topic, partition, "offset", key_digest, source, message_id, type, sealed_record, reason,
    attempts, next_attempt_at, parked_at, purge_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
    now() + make_interval(secs => $12 * (0.5 + random() / 2)), case when $13 then now() end, now() + $14::interval)
on conflict on constraint dead_letters_message_once do nothing"""


class Waits(Exception):
    """An earlier message of the same key was set aside."""


class Untried(Waits):
    """The handler of this type hangs, so that those who wait behind it go on while the retries try it."""


async def set_aside(conn: Connection, lane: str, arrival: Arrival, error: Exception) -> None:
    """Keep a message whole, sealed to this service itself, with why; in the transaction that claims it in the inbox.

    A refusal is understood and declined, so it is parked at once, as is one that has killed this process before; one
    that waits for its key has had no attempt.
    """
    assert conn.context.identity is not None  # noqa: S101 -- every transaction of Database has one.
    keyring = conn.context.identity.keyring
    source, message_id = arrival.identity
    place = Place(message_id, lane, "dead_letter")
    parked = isinstance(error, (Refusal, DiedTooOften))
    await conn.execute(
        INSERT_DEAD_LETTER,
        lane,
        arrival.topic,
        arrival.partition,
        arrival.offset,
        arrival.key_digest,
        source,
        message_id,
        arrival.envelope.type if arrival.envelope else None,
        keyring.seal(arrival.pack(), keyring.service, place),
        describe(error),
        0 if isinstance(error, Waits) else 1,
        _pause(error),
        parked,
        topic.retention if (topic := topics.BY_NAME.get(arrival.topic)) and topic.holds_secrets else None,
    )
    conn.context.rings.add(BELL)
    telemetry.SET_ASIDE.labels(lane=lane, reason=type(error).__name__).inc()
    where = {"topic": arrival.topic, "partition": arrival.partition, "offset": arrival.offset}
    if not isinstance(error, Waits):
        log.warning("message_set_aside", lane=lane, message_id=message_id, reason=describe(error), **where)
    if parked:
        _alarm(lane, message_id, describe(error))


def _pause(error: Exception) -> float:
    match error:
        case Untried():
            return 0.0
        case Waits():
            return FOLLOWER_SECONDS
        case _:
            return FIRST_PAUSE_SECONDS


def describe(error: BaseException) -> str:
    """Say what went wrong without the content of the message: only our own errors' texts are known to be free of it."""
    own = type(error).__module__.partition(".")[0] in {"chassis", "contracts", "services"}
    return f"{type(error).__name__}: {error}"[:300] if own else type(error).__name__


# What waits behind another becomes due when the one before it goes. That one may go unseen by it, so it is looked at
# all the same, ever more seldom: first after $1 seconds, then after as long as it has waited, at last every hour.
# Here and below, arrays bound the work to a few of those that are due, once, whatever the planner believes of the table.
POSTPONE_FOLLOWERS = """
update dead_letters set next_attempt_at =
    now() + least(greatest(make_interval(secs => $1), now() - set_aside_at), interval '1 hour')
where id = any(array(
    select waiting.id from dead_letters waiting
    where waiting.id = any(array(
        select due.id from dead_letters due where due.parked_at is null and due.next_attempt_at <= now()
        order by due.next_attempt_at limit 200))
      and waiting.id > (
        select min(first.id) from dead_letters first
        where first.lane = waiting.lane and first.topic = waiting.topic and first.key_digest = waiting.key_digest)
    for update skip locked))"""

# The first of each key, where it is due, not parked, and tried by nobody. Without a key, every message is a first. A claim
# that is still there has run out: who held it died.
CLAIM_DUE = """
update dead_letters d set attempts = d.attempts + 1, claimed_until = now() + make_interval(secs => $2),
    deaths = d.deaths + (d.claimed_until is not null)::int, next_attempt_at =
        now() + make_interval(secs => $1 * 2 ^ least(d.attempts, 10) * (0.5 + random() / 2))
where d.id = (
    select head.id from dead_letters head
    where head.id = any(array(
        select due.id from dead_letters due where due.parked_at is null and due.next_attempt_at <= now()
        order by due.next_attempt_at limit 200))
      and head.parked_at is null and head.next_attempt_at <= now()
      and (head.claimed_until is null or head.claimed_until <= now())
      and (head.key_digest is null or head.id = (
        select min(first.id) from dead_letters first
        where first.lane = head.lane and first.topic = head.topic and first.key_digest = head.key_digest))
    order by head.next_attempt_at for update skip locked limit 1)
returning d.id, d.lane, d.topic, d.partition, d."offset", d.message_id, d.type, d.sealed_record, d.reason, d.attempts,
    d.set_aside_at, d.next_attempt_at, d.parked_at, d.claimed_until, d.deaths"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was set aside; its content is sealed."""

    id: int
    lane: str
    topic: str
    partition: int
    offset: int
    message_id: str
    type: str | None
    sealed_record: str
    reason: str
    attempts: int
    set_aside_at: datetime
    next_attempt_at: datetime
    parked_at: datetime | None
    claimed_until: datetime | None
    deaths: int

    def open(self, conn: Connection) -> Arrival:
        """Open the record that was set aside; raises `CannotOpen`."""
        assert conn.context.identity is not None  # noqa: S101 -- every transaction of Database has one.
        place = Place(self.message_id, self.lane, "dead_letter")
        return Arrival.unpack(conn.context.identity.keyring.open(self.sealed_record, place))


async def claim_due(conn: Connection, *, seconds: float) -> DeadLetter | None:
    """Take the first message that is due, for so many seconds, with its attempt counted and its next time set."""
    while True:
        postponed = await conn.execute(POSTPONE_FOLLOWERS, FOLLOWER_SECONDS)
        row = await conn.fetchrow(CLAIM_DUE, FIRST_PAUSE_SECONDS, seconds)
        if row is not None:
            return DeadLetter(*row)
        if postponed == "UPDATE 0":
            return None


DELETE_DEAD_LETTER = """
with gone as (delete from dead_letters where id = $1 returning id, lane, topic, key_digest),
next as (
    update dead_letters d set next_attempt_at = now() from gone
    where d.id = (select min(later.id) from dead_letters later where later.lane = gone.lane and later.topic = gone.topic
        and later.key_digest = gone.key_digest and later.id > gone.id)
)
select id from gone"""


async def delete(conn: Connection, dead_letter_id: int) -> bool:
    """Remove one, in the transaction that handled it, and let the next of its key be tried; False when another did."""
    conn.context.rings.add(BELL)
    return await conn.fetchval(DELETE_DEAD_LETTER, dead_letter_id) is not None


# Each claim ends later than the one before it, so its end says whether it still holds.
NOTE_FAILURE = """
update dead_letters set reason = $3, claimed_until = null, parked_at = case when $4 then now() end
where id = $1 and claimed_until = $2 returning id"""

# After a long outage another may have been the first to come back: he took this claim's end for a death.
GIVE_BACK = """
update dead_letters set attempts = greatest(attempts - 1, 0), claimed_until = nullif(claimed_until, $2),
    deaths = greatest(deaths - (claimed_until is distinct from $2)::int, 0)
where id = $1 and parked_at is null"""


class Retries:
    """The tick over one service's dead letters; several loops may share it, for a handler that hangs holds one up."""

    def __init__(self, database: Database, handlers: Handlers) -> None:
        self._database = database
        self._handlers = handlers
        self._measured = -MEASURE_SECONDS

    def loops(self, *, pool_size: int, every: float = 1.0) -> list[Loop]:
        """Make the loops that try messages again side by side; they leave half of the pool to others."""
        count = max(1, min(LOOPS, pool_size // 2))
        loops = [Loop(f"dead_letters_{number}", self.tick, every=every) for number in range(1, count + 1)]
        for loop in loops:
            self._database.bell.hear(BELL, loop.wake)
        return loops

    async def tick(self) -> int:
        """Try one message again; gives how many were handled or moved on. An outage is raised when it is over, not counted."""
        async with self._database.transaction() as conn:
            letter = await claim_due(conn, seconds=self._handlers.seconds + CLAIM_MARGIN_SECONDS)
        if letter is None:
            await self._measure()
            return 0
        if letter.deaths >= DEATHS:
            error = DiedTooOften(f"the process died {letter.deaths} times while trying it again")
            await self._settle_surely(letter, error)
            return 1
        reach("retry.counted")
        try:
            await self._handle(letter)
        except Exception as error:
            await self._settle_surely(letter, error)
            if is_outage(error):
                raise
        return 1

    async def _handle(self, letter: DeadLetter) -> None:
        async with self._database.transaction() as conn:
            if not await delete(conn, letter.id):
                return
            arrival = replace(letter.open(conn), came_at=letter.set_aside_at)
            if self._handlers.knows(arrival):
                await self._handlers.call(conn, arrival)
        self._count(letter, "handled")
        telemetry.CONSUMED.labels(lane=letter.lane, outcome="retried").inc()
        log.info("dead_letter_handled", lane=letter.lane, message_id=letter.message_id, attempts=letter.attempts)

    async def _settle_surely(self, letter: DeadLetter, error: Exception) -> None:
        """Note what came of a try however long Postgres is away: it may be the very outage that ended the try.

        A loop that must stop meanwhile is cancelled when its group's time is over; its claim then runs out like a death's.
        """
        failures = 0
        while True:
            try:
                if is_outage(error):
                    await self._give_back(letter)
                else:
                    await self._note(letter, error)
            except Exception as trouble:
                if not is_outage(trouble):
                    raise
                failures += 1
                what = {"message_id": letter.message_id, "error": type(trouble).__name__}
                log.warning("dead_letter_waits_to_be_settled", lane=letter.lane, **what)
                await asyncio.sleep(backoff(failures, longest=2.0))
            else:
                return

    async def _give_back(self, letter: DeadLetter) -> None:
        async with self._database.transaction() as conn:
            await conn.execute(GIVE_BACK, letter.id, letter.claimed_until)
        self._count(letter, "outage")

    async def _note(self, letter: DeadLetter, error: Exception) -> None:
        reason = describe(error)
        most = HUNG_ATTEMPTS if isinstance(error, Hung) else ATTEMPTS
        parked = letter.attempts >= most or isinstance(error, (Refusal, DiedTooOften))
        async with self._database.transaction() as conn:
            noted = await conn.fetchval(NOTE_FAILURE, letter.id, letter.claimed_until, reason, parked)
        self._count(letter, "parked" if parked else "failed")
        log.warning(
            "dead_letter_failed",
            lane=letter.lane,
            message_id=letter.message_id,
            attempts=letter.attempts,
            reason=reason,
        )
        if parked and noted is not None:
            _alarm(letter.lane, letter.message_id, reason)

    def _count(self, letter: DeadLetter, outcome: str) -> None:
        telemetry.DEAD_LETTER_TRIES.labels(lane=letter.lane, outcome=outcome).inc()

    async def _measure(self) -> None:
        if time.monotonic() - self._measured < MEASURE_SECONDS:
            return
        self._measured = time.monotonic()
        async with self._database.transaction() as conn:
            parked, waiting = await count(conn)
        service = self._database.identity.service
        telemetry.DEAD_LETTERS.labels(service=service, state="parked").set(parked)
        telemetry.DEAD_LETTERS.labels(service=service, state="waiting").set(waiting)


class DiedTooOften(Exception):
    """The process died while the message was being handled."""


COUNT = (
    "select count(*) filter (where parked_at is not null), count(*) filter (where parked_at is null) from dead_letters"
)


async def count(conn: Connection) -> tuple[int, int]:
    """Count the parked messages and those that wait or are being retried."""
    row = await conn.fetchrow(COUNT)
    assert row is not None  # noqa: S101 -- an aggregate always gives a row.
    return row[0], row[1]


SELECT_PAGE = """
select id, lane, topic, partition, "offset", message_id, type, sealed_record, reason, attempts, set_aside_at, next_attempt_at,
    parked_at, claimed_until, deaths from dead_letters where id > $1 and ($2::bigint is null or id = $2) order by id limit $3"""


async def page(conn: Connection, *, after: int = 0, limit: int = 100, only: int | None = None) -> list[DeadLetter]:
    """List what is set aside, oldest first."""
    return [DeadLetter(*row) for row in await conn.fetch(SELECT_PAGE, after, only, limit)]


RELEASE = """
update dead_letters set parked_at = null, attempts = 0, deaths = 0, next_attempt_at = now()
where ($1::bigint is null or id = $1) and parked_at is not null"""


async def release(conn: Connection, dead_letter_id: int | None) -> int:
    """Let a parked message (or all) be tried again; gives how many."""
    conn.context.rings.add(BELL)
    return int((await conn.execute(RELEASE, dead_letter_id)).rpartition(" ")[2])


PURGE = "delete from dead_letters where purge_at < now()"


async def purge(conn: Connection) -> int:
    """Remove messages with sealed secrets whose time is over; gives how many."""
    return int((await conn.execute(PURGE)).rpartition(" ")[2])


def _alarm(lane: str, message_id: str, reason: str) -> None:
    telemetry.PARKED.labels(lane=lane).inc()
    log.error("message_parked", lane=lane, message_id=message_id, reason=reason)
