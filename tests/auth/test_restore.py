"""After a restore nothing comes alive again, and what only the lost time knew is taken out of the world (rel-R11)."""

import argparse
import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord

from chassis import cli, outbox, restores, scope
from chassis.arrival import Arrival
from chassis.commands.command import Unavailable
from chassis.ghosts import Ghost
from chassis.postgres import Identity, open_database
from chassis.service import Runtime
from contracts.auth import AccountChanged, AccountErased, PasswordChanged, TokensVoided
from services.auth import restore
from services.auth.__main__ import SERVICE
from services.auth.people import accounts
from services.auth.people.errors import NoSuchAccount
from services.auth.settings import AuthSettings
from tests.auth.world import Owner, World
from tests.conftest import Bus, Clone
from tests.support import bus as stranger
from tests.support.lanes import headers
from tests.support.waiting import until

pytestmark = pytest.mark.goal("rel-R11")


def ghost(kind: str, account_id: UUID | str, value: bytes = b"{}") -> Ghost:
    subject = str(account_id).encode()
    found = headers(kind, {"ce_subject": subject})
    record = ConsumerRecord("auth.accounts.v1", 0, 7, 0, 0, subject, value, None, 0, 0, tuple(found))
    return Ghost(Arrival.of(record), datetime.now(UTC))


async def settled(world: World, found: Ghost) -> str | None:
    async with world.database.transaction() as conn:
        return await restore.settle(conn, found)


async def owed(owner: Owner) -> list[tuple[str, dict[str, Any]]]:
    rows = await owner.fetch("select type, payload from auth.outbox order by id")
    return [(row["type"], json.loads(row["payload"])) for row in rows]


async def test_an_erased_account_is_gone_and_told_of_with_a_version_above_its_last(world: World, owner: Owner) -> None:
    account = await world.add("kari@example.no")
    await world.logged_in("kari@example.no")
    async with world.database.transaction() as conn:
        await accounts.erase(conn, account.id)
    assert (await owed(owner))[-1] == (
        AccountErased.type,
        {"account_id": str(account.id), "epoch": 1, "version": 2},
    )
    left = "select (select count(*) from auth.accounts) + (select count(*) from auth.sessions)"
    assert await owner.fetchval(left) == 0
    assert (await world.add("kari@example.no")).id != account.id
    with pytest.raises(NoSuchAccount):
        async with world.database.transaction() as conn:
            await accounts.erase(conn, account.id)


async def test_an_account_of_the_lost_time_is_disowned_once_and_one_that_is_there_is_left_alone(
    world: World, owner: Owner
) -> None:
    account = await world.add("kari@example.no")
    lost = uuid4()
    assert await settled(world, ghost(AccountChanged.type, account.id)) is None
    assert await settled(world, ghost(AccountChanged.type, lost)) == "readers told to forget the account"
    assert await settled(world, ghost(AccountChanged.type, lost)) is None
    assert [kind for kind, _ in await owed(owner)] == [AccountChanged.type, AccountErased.type]
    assert (await owed(owner))[-1][1]["account_id"] == str(lost)


async def test_who_was_erased_in_the_lost_time_is_erased_again(world: World, owner: Owner) -> None:
    account = await world.add("kari@example.no")
    assert await settled(world, ghost(AccountErased.type, account.id)) == "account erased again"
    assert await settled(world, ghost(AccountErased.type, account.id)) is None
    assert await owner.fetchval("select count(*) from auth.accounts") == 0


@pytest.mark.goal("sec-A10")
async def test_who_was_switched_off_in_the_lost_time_is_switched_off_again(world: World, owner: Owner) -> None:
    account = await world.add("kari@example.no")
    browser = await world.logged_in("kari@example.no")
    lost = [state | {"version": 2, "active": active} for _, state in await owed(owner) for active in (False, True)][:2]
    off, on = (ghost(AccountChanged.type, account.id, json.dumps(each).encode()) for each in lost)
    assert await settled(world, off) == "account switched off again"
    assert [await settled(world, each) for each in (off, on)] == [None, None]
    told = [(kind, state.get("active"), state.get("below_epoch")) for kind, state in (await owed(owner))[-2:]]
    assert told == [(AccountChanged.type, False, None), (TokensVoided.type, None, (1 << 32) + 2)]
    assert (await browser.session()).status_code == 401
    await owner.execute("update auth.accounts set active = true")
    assert (await browser.session()).status_code == 401


async def test_a_password_that_was_changed_in_the_lost_time_does_not_come_back(world: World) -> None:
    kari = await world.add_with_password("kari@example.no")
    await world.add_with_password("ola@example.no")
    assert await settled(world, ghost(PasswordChanged.type, kari.id)) == "older password taken away"
    assert await settled(world, ghost(PasswordChanged.type, kari.id)) is None
    assert (await world.browser().log_in("kari@example.no")).status_code == 403
    assert (await world.browser().log_in("ola@example.no")).status_code == 201


async def test_other_ghosts_and_strange_subjects_are_left_alone(world: World, owner: Owner) -> None:
    assert await settled(world, ghost("auth.OtpRequested.v1", uuid4())) is None
    assert await settled(world, ghost(AccountChanged.type, "no-uuid")) is None
    assert await owed(owner) == []


async def test_open_codes_and_sessions_end_and_what_was_over_is_not_counted(world: World) -> None:
    await world.add("kari@example.no")
    browser = await world.logged_in("kari@example.no")
    challenge, mail = await world.asked("kari@example.no", browser)
    async with world.database.transaction() as conn:
        assert await restore.end_all(conn) == {"codes_ended": 1, "sessions_ended": 1}
    assert (await browser.session()).status_code == 401
    assert (await browser.redeem(challenge, mail.code)).status_code == 403
    async with world.database.transaction() as conn:
        assert await restore.end_all(conn) == {"codes_ended": 0, "sessions_ended": 0}


Lines = list[dict[str, Any]]


async def run(
    clone: Clone, settings: AuthSettings, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, Lines, str]:
    """Run a command as the command line does, with a connection of its own."""
    given: argparse.Namespace = cli.parser(SERVICE).parse_args(words)
    identity = Identity("auth", clone.cluster.keyring("auth"))
    async with open_database(clone.urls("auth").app, identity, size=2, role="command") as database:
        with scope.entered(scope.SYSTEM):
            code = await given.work(Runtime(settings, database), given)
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines() if line.startswith('{"')], said.err


async def test_what_is_told_after_a_restore_is_newer_than_anything_before_it(
    clone: Clone, world: World, owner: Owner, auth_settings: AuthSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = auth_settings.model_copy(update={"owner_database_url": clone.urls("auth").owner})
    before = await world.add("kari@example.no")
    await owner.execute("update auth.accounts set version = 7")
    code, lines, said = await run(clone, settings, capsys, "restored")
    assert (code, lines) == (1, [])
    assert said.startswith("refused: auth is running (samband auth): stop its roles first")
    await world.database._pool.close()
    code, (line,), said = await run(clone, settings, capsys, "restored")
    assert code == 0
    assert line["epoch"] > 28_000_000
    assert line["next_sequence"] > 28_000_000_000_000
    assert "outbox ghosts" in said
    code, lines, _ = await run(clone, settings, capsys, "republish")
    assert (code, lines[-1]) == (0, {"republished_in_all": 1})
    told = (await owed(owner))[-1]
    assert told[1]["account_id"] == str(before.id)
    assert (told[1]["epoch"], told[1]["version"]) == (line["epoch"], 7)
    assert await owner.fetchval("select max(id) from auth.outbox") > 28_000_000_000_000
    _, (again,), _ = await run(clone, settings, capsys, "restored")
    assert again["epoch"] > line["epoch"] and again["next_sequence"] > line["next_sequence"]


async def test_a_second_restore_in_the_same_second_counts_on(world: World) -> None:
    async with world.database.transaction() as conn:
        assert await restores.last(conn) is None
        first, second = await restores.note(conn), await restores.note(conn)
        assert second.epoch == first.epoch + 1
        assert await restores.last(conn) == second


async def test_republishing_goes_batch_by_batch_tombstones_too_and_on_behind_an_id(
    clone: Clone, world: World, owner: Owner, auth_settings: AuthSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    there = sorted([(await world.add(f"person{n}@example.no")).id for n in range(5)])
    async with world.database.transaction() as conn:
        await accounts.erase(conn, there[4])
    await owner.execute("truncate auth.outbox")
    code, lines, _ = await run(clone, auth_settings, capsys, "republish", "--batch", "3")
    assert code == 0
    assert lines == [
        {"republished": "accounts", "count": 3, "after": str(there[2])},
        {"republished": "accounts", "count": 1, "after": str(there[3])},
        {"republished": "erased-accounts", "count": 1, "after": str(there[4])},
        {"republished_in_all": 5},
    ]
    assert [(kind, told["account_id"]) for kind, told in await owed(owner)] == [
        *((AccountChanged.type, str(account_id)) for account_id in there[:4]),
        (AccountErased.type, str(there[4])),
    ]
    after = ("republish", "--only", "accounts", "--after", str(there[2]))
    assert (await run(clone, auth_settings, capsys, *after))[1][-1] == {"republished_in_all": 1}
    code, _, said = await run(clone, auth_settings, capsys, "republish", "--after", str(there[2]))
    assert (code, said) == (2, "refused: --after is an id of one kind; say of which with --only\n")


async def test_republishing_waits_while_the_outbox_is_deep_and_says_so(
    clone: Clone, world: World, owner: Owner, auth_settings: AuthSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(3):
        await world.add(f"person{n}@example.no")
    async with world.database.transaction() as conn:
        await accounts.republish(conn, None, 9)
    telling = asyncio.create_task(run(clone, auth_settings, capsys, "republish", "--depth", "4"))
    said = ""

    async def waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return said == "6 messages are owed; waiting until they are 4 or fewer. Does a worker run?\n"

    await until(waiting, what="the command to say that it waits")
    assert await owner.fetchval("select count(*) from auth.outbox") == 6
    await owner.execute("truncate auth.outbox")
    assert (await telling)[1][-1] == {"republished_in_all": 3}
    assert await owner.fetchval("select count(*) from auth.outbox") == 3


@pytest.mark.parametrize(
    "words", [("--only", "people"), ("--after", "no-uuid"), ("--batch", "0"), ("--depth", "many")], ids=str
)
def test_what_cannot_be_republished_is_refused_in_words(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.parser(SERVICE).parse_args(["republish", *words])
    assert end.value.code == 2
    assert f"argument {words[0]}" in capsys.readouterr().err


async def test_ghosts_are_looked_for_only_where_the_archive_can_tell_them(
    clone: Clone, auth_settings: AuthSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = auth_settings.model_copy(update={"kafka": "127.0.0.1:1"})
    code, lines, said = await run(clone, settings, capsys, "outbox", "ghosts", "--since", "2026-01-01")
    assert (code, lines) == (1, [])
    assert said.startswith("refused: the archive begins at ")
    off = settings.model_copy(update={"archive_days": 0})
    code, _, said = await run(clone, off, capsys, "outbox", "ghosts", "--since", "0m")
    assert (code, said) == (1, "refused: nothing is archived here, so that no record can be told from a ghost\n")
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:1 does not answer as it should"):
        await run(clone, settings, capsys, "outbox", "ghosts", "--since", "0m")


async def test_records_are_told_from_ghosts_by_outbox_and_archive_and_by_type(
    clone: Clone, bus: Bus, world: World, owner: Owner, auth_settings: AuthSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = auth_settings.model_copy(update={"kafka": bus.bootstrap, "topic_prefix": bus.prefix})
    for _ in range(2):
        await world.add(f"person{uuid4().hex[:8]}@example.no")
    async with world.database.transaction() as conn:
        rows = await outbox.cycle(conn, [], archive=True, held_keys=[], held_topics=[], limit=9)
        await outbox.cycle(conn, [rows[0].id], archive=True, held_keys=[], held_topics=[], limit=9)
    for row in rows:
        await stranger.write(bus.bootstrap, bus.prefix + row.topic, row.payload, headers=row.kafka_headers())
    await stranger.write(bus.bootstrap, bus.prefix + rows[0].topic, b"{}", headers=headers(AccountErased.type))
    await stranger.write(bus.bootstrap, bus.prefix + rows[0].topic, None, headers=[("strange", b"\xff")])
    code, lines, _ = await run(clone, settings, capsys, "outbox", "ghosts", "--since", "1m")
    *ghosts, last = lines
    assert code == 1
    assert [ghost["type"] for ghost in ghosts] == [AccountErased.type, None]
    assert ghosts[1]["fault"] == "ce_specversion is missing" and ghosts[1]["ghost"] is None
    assert (last["records"], last["ghosts"], last["settled"]) == (4, 2, 0)
    code, lines, _ = await run(clone, settings, capsys, "outbox", "ghosts", "--since", "1m", "--type", "auth.Other.v1")
    assert (code, lines[0]["ghosts"]) == (0, 0)
