"""Round: commands under faults, then quiet, then judgement."""

import asyncio
import math
import random
import signal
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from chassis.postgres import is_outage
from tests.faults import inspection
from tests.faults.cast import cast
from tests.faults.checker import check
from tests.faults.commander import Commander
from tests.faults.findings import Damage, Findings
from tests.faults.history import History
from tests.faults.injuries import INJURIES, Scene
from tests.faults.keeper import Death, StoppedLate
from tests.faults.observed import Observed
from tests.faults.schedule import Planned
from tests.faults.stage import Stage
from tests.faults.trio import NotInSync
from tests.faults.trio_injuries import BROKER_INJURIES, TRIO_INJURIES

QUIET_SECONDS = 60.0
"""The most that may pass between the last fault's end and quiet: 60 s after a failover, 30 s else (rel-R7)."""
TRY_AGAIN_SECONDS = 30.0
ALL_INJURIES = {**INJURIES, **TRIO_INJURIES}


@dataclass(frozen=True, slots=True)
class Order:
    """What a round is to be: `pace` is in commands a second, `codes` of the commands are codes asked for.

    Besides, `acts` people of each kind do what takes several commands: activate, are guessed at, leave, are edited.
    `longest_wait` is the seconds that a message may be under way, where something is promised. The fewer `books`, the more
    often two commands want the same one at the same time.
    """

    seed: int
    commands: int
    codes: int
    pace: float
    injuries: Sequence[Planned]
    misbehaving_mail: bool = True
    longest_wait: float = math.inf
    books: int = 25
    stumbling: float = 0.03
    """The share of entries at which the mirror fails now and then."""
    latest: int = 3
    acts: int = 0


@dataclass(frozen=True, slots=True)
class Injured:
    """An injury and when it was done; `undone` says why it could not be, `failed` what it found to be wrong."""

    injury: str
    began: datetime
    ended: datetime
    undone: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a round. `recovered` is the seconds from the last fault's end to quiet; `waits` are the most seconds
    that a message owed while a broker was hurt was under way, by injury.
    """

    order: Order
    history: History
    findings: Findings
    duplicates: int
    mails: int
    mails_given_up: int
    deaths: list[Death]
    waits: Mapping[str, float]
    undone: list[str]
    recovered: float
    seconds: float

    @property
    def fallen(self) -> list[str]:
        """Say which processes ended in a way that nobody meant."""
        return [
            f"{death.unit} ended with {death.code} at {death.at:%T}"
            for death in self.deaths
            if not (death.meant or death.stuck)
        ]

    @property
    def stuck(self) -> list[str]:
        """Say which processes left because they were stuck, which is a flaw that heals itself."""
        return [f"{death.unit} was stuck and left at {death.at:%T}" for death in self.deaths if death.stuck]

    @property
    def courier_deaths(self) -> int:
        """Count the SIGKILLs of processes that send mails."""
        return sum(death.unit.service == "notifications" and death.code == -signal.SIGKILL for death in self.deaths)


async def play(stage: Stage, order: Order) -> Result:
    """Give the commands while the injuries happen, heal, wait until all is quiet, and judge."""
    started = time.monotonic()
    chance = random.Random(order.seed)
    history = History()
    before = len(stage.deaths())
    since = await inspection.begin(stage)
    name = f"s{order.seed}-{uuid4().hex[:6]}"
    async with cast(stage, name=name, books=order.books, codes=order.codes, acts=order.acts) as playing:
        stage.post.chance = random.Random(order.seed) if order.misbehaving_mail else None
        await _set_mood(stage, stumbling=True)
        commander = Commander(stage, playing, history, chance, pace=order.pace, stumbling=order.stumbling)
        async with asyncio.TaskGroup() as group:
            group.create_task(commander.give(order.commands - order.codes, order.codes))
            tasks = [
                group.create_task(_injure(stage, planned, order, history, since.began)) for planned in order.injuries
            ]
        injured = [task.result() for task in tasks]
        recovered, left = await _recover(stage)
        observed = await inspection.inspect(stage, playing, history, since)
    deaths = stage.deaths()[before:]
    observed.courier_deaths = [death.at for death in deaths if death.unit.service == "notifications"]
    findings = check(history, observed, longest_wait=order.longest_wait)
    if left:
        findings.note(Damage.STUCK, f"not quiet {QUIET_SECONDS:g} s after the last fault: {left}")
    for each in injured:
        if each.failed:
            findings.note(Damage.STUCK, each.failed)
    await asyncio.gather(*(keeper.disarm() for keeper in stage.keepers.values()))
    await stage.all_ready()
    return Result(
        order,
        history,
        findings,
        observed.duplicates,
        len(observed.mails),
        sum(mail.outcome == "given_up" for mail in observed.mails),
        deaths,
        _waits(injured, observed) if order.longest_wait < math.inf else {},
        [f"{each.injury}: {each.undone}" for each in injured if each.undone],
        recovered,
        time.monotonic() - started,
    )


async def _injure(stage: Stage, planned: Planned, order: Order, history: History, began: datetime) -> Injured:
    """Do an injury at its time; where another one is in its way, try again until it can be done."""
    await asyncio.sleep(planned.at)
    scene = Scene(stage, random.Random(planned.draw), history, began, order.latest)
    until = time.monotonic() + TRY_AGAIN_SECONDS
    while True:
        tried = datetime.now(UTC)
        try:
            await ALL_INJURIES[planned.injury](scene)
        except (StoppedLate, NotInSync) as error:
            return Injured(planned.injury, tried, datetime.now(UTC), failed=str(error))
        except Exception as error:
            if not (is_outage(error) or isinstance(error, LookupError)):
                raise
            if time.monotonic() > until:
                return Injured(planned.injury, tried, datetime.now(UTC), undone=f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.3)
        else:
            return Injured(planned.injury, tried, datetime.now(UTC))


def _waits(injured: Sequence[Injured], observed: Observed) -> dict[str, float]:
    longest: dict[str, float] = defaultdict(float)
    for each in injured:
        if each.injury not in BROKER_INJURIES:
            continue
        during = [wait.seconds for wait in observed.waits if each.began <= wait.owed_at <= each.ended]
        longest[each.injury] = max(longest[each.injury], *during, 0.0)
    return longest


async def _set_mood(stage: Stage, *, stumbling: bool) -> None:
    async with stage.admin() as conn:
        await conn.execute("update mirror.moods set stumbling = $1", stumbling)
        if (
            not stumbling
        ):  # The code is mended, and nothing dies any more: an operator lets what was parked be tried again.
            for service in ("mirror", "notifications"):
                await _change(conn, LET_GO.format(service))


LET_GO = """
update {}.dead_letters set parked_at = null, attempts = 0, deaths = 0, next_attempt_at = now()
where parked_at is not null"""
# What the product would itself try within its longest pause is not waited for. Nothing else is helped: one that it would
# leave for longer, or that waits behind another and is not woken, stays and is seen.
HURRY = """
update mirror.dead_letters d set next_attempt_at = now()
where parked_at is null and next_attempt_at > now() and next_attempt_at < now() + interval '50 seconds'
  and not exists (select from mirror.dead_letters earlier
    where earlier.topic = d.topic and earlier.key_digest = d.key_digest and earlier.id < d.id)"""

# A block is told of ten seconds after its last password was counted: by then it has been compared, and nobody is left who
# could give another.
HURRY_BLOCKS = """
update auth.blocks set changed_at = now() - interval '11 seconds'
where told_at is null and blocked_until > now() and changed_at < now() - interval '3 seconds'"""


async def _change(conn: "asyncpg.Connection[asyncpg.Record]", sql: str) -> None:
    """Change dead letters that the loops which try them are at work on."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError):
            await conn.execute(sql)
            return


async def _recover(stage: Stage) -> tuple[float, str]:
    """Heal, and wait until nothing waits anywhere; gives the seconds it took, and what was left when quiet did not come."""
    began = time.monotonic()
    stage.post.chance = None
    await stage.all_ready()
    await _set_mood(stage, stumbling=False)
    async with stage.admin() as conn:
        while True:
            # What was unread at the first look may have been set aside before the second one.
            left = await inspection.waiting(conn) or await inspection.unread(stage) or await inspection.waiting(conn)
            passed = time.monotonic() - began
            if not left or passed > QUIET_SECONDS:
                return passed, str(left or "")
            await _change(conn, HURRY)
            await conn.execute(HURRY_BLOCKS)
            await asyncio.sleep(0.25)
