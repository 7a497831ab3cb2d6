"""Operators' view of the outbox: what waits and why, and replay that refuses what does not exist."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from chassis import cli, outbox
from chassis.kafka import Sender
from chassis.postgres import Database
from chassis.relay import Relay
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from tests.conftest import ROOT, Bus, Clone
from tests.support.things import ThingHappened
from tests.support.waiting import until

SERVICE = Service("things", ServiceSettings, ROOT / "services" / "things")
Run = Callable[[str], Awaitable[tuple[int, list[dict[str, Any]], str]]]


@pytest.fixture
def run(database: Database, clone: Clone, capsys: pytest.CaptureFixture[str]) -> Run:
    keys = clone.cluster.keys
    settings = ServiceSettings(
        database_url=clone.urls("things").app,
        public_keys=keys / "public",
        private_keys=keys / "private" / "things.json",
    )

    async def run_one(line: str) -> tuple[int, list[dict[str, Any]], str]:
        given = cli.parser(SERVICE, ()).parse_args(line.split())
        code = await given.work(Runtime(settings, database), given)
        out, err = capsys.readouterr()
        return code, [json.loads(each) for each in out.splitlines()], err

    return run_one


async def owe(database: Database, count: int) -> None:
    async with database.transaction() as conn:
        for n in range(count):
            await outbox.add(conn, ThingHappened(thing_id=uuid4(), n=n))


async def test_the_status_of_an_outbox_that_nobody_empties_says_so(
    run: Run, database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await owe(database, 3)
    await owner.execute("update things.outbox set created_at = now() - interval '90 seconds' where id = 1")
    code, (topic, last), said = await run("outbox status")
    assert code == 0
    assert (topic["topic"], topic["waiting"]) == ("auth.accounts.v1", 3)
    assert 90 <= topic["oldest_seconds"] == last["oldest_seconds"] < 150
    assert (last["depth"], last["held"], last["archive_days"], last["relay_leader"]) == (3, 0, 7, None)
    assert datetime.fromisoformat(last["archive_begins"]) <= datetime.now(UTC)
    assert "start a worker" in said


async def test_the_status_names_the_leader_and_what_it_holds_back_until_that_is_mended(
    run: Run, database: Database, clone: Clone, bus: Bus
) -> None:
    await owe(database, 2)
    relay = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", f"{bus.prefix}missing-"))
    leading = asyncio.create_task(relay.run())
    try:

        async def held() -> list[dict[str, Any]] | None:
            _, lines, _ = await run("outbox status")
            return lines if any("held" in line for line in lines[:-1]) else None

        lines = await until(held, what="the missing topic to be held")
        (hold,) = [line for line in lines[:-1] if "held" in line]
        assert (hold["held"], hold["topic"], hold["key"]) == ("topic", "auth.accounts.v1", None)
        assert "missing" in hold["why"] and hold["refusals"] >= 1
        assert lines[-1]["held"] == 1
        assert lines[-1]["relay_leader"]["pid"] > 0
    finally:
        relay.stop()
        await leading
    healed = Relay(clone.urls("things").app, "things", Sender(bus.bootstrap, "test", bus.prefix))
    leading = asyncio.create_task(healed.run())
    try:

        async def released() -> bool:
            _, lines, _ = await run("outbox status")
            return len(lines) == 1 and (lines[0]["depth"], lines[0]["held"]) == (0, 0)

        await until(released, what="all to be sent and nothing held")
    finally:
        healed.stop()
        await leading


async def test_a_hold_that_goes_on_keeps_the_time_when_it_began(database: Database) -> None:
    key = ("auth.accounts.v1", "a")
    async with database.transaction() as conn:
        await outbox.replace_holds(conn, {key: 1, ("auth.codes.v1", None): 1})
    async with database.transaction() as conn:
        (first, _) = await outbox.holds(conn)
        await outbox.replace_holds(conn, {key: 2})
        (then,) = await outbox.holds(conn)
    assert (then.key, then.refusals, then.held_at) == ("a", 2, first.held_at)


async def test_replaying_a_type_that_does_not_exist_is_refused_with_those_that_do(
    run: Run, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await owner.execute(
        "insert into things.outbox_published (id, message_id, topic, key, type, created_at) "
        "values (1, gen_random_uuid(), 'auth.accounts.v1', 'k', 'things.ThingRetired.v1', now())"
    )
    code, lines, said = await run("outbox replay --since 1h --type things.ThingRetried.v1")
    assert (code, lines) == (1, [])
    assert said == ("refused: things publishes no type 'things.ThingRetried.v1'; there are: things.ThingRetired.v1\n")
    assert (await run("outbox replay --since 1h --type things.ThingRetired.v1 --dry-run"))[0] == 0


@pytest.mark.parametrize("since", ["yesterday", "31.12.2026", "2999-01-01"])
def test_a_time_that_is_none_or_is_ahead_is_refused_in_words(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.parser(SERVICE, ()).parse_args(["outbox", "replay", "--since", since])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "is ahead; give a time that has been" in said or "a time such as 2026-11-23T08:00:00" in said


async def test_a_time_before_the_archive_is_told_how_far_it_goes(run: Run) -> None:
    code, _, said = await run("outbox replay --since 2026-01-01 --dry-run")
    assert code == 0
    assert said.startswith("The archive begins at 20")
