"""Doctor: every fault of a service's ground is found and named, also where half of that ground is missing."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis import doctor, ghosts, outbox, restores, topics
from chassis.commands import doctor as command
from chassis.errors import CannotLook
from chassis.postgres import Database
from chassis.upkeep import Finding, Verdict
from contracts.topics import ALL
from deploy.local import keysets
from deploy.local import topics as kafka_topics
from deploy.local.mailbox import Mailbox
from deploy.local.ports import free_port
from services.auth.__main__ import SERVICE as AUTH
from services.notifications.__main__ import SERVICE as NOTIFICATIONS
from services.notifications.checks import checks
from services.notifications.settings import NotificationsSettings
from tests.conftest import Bus, Clone, OpenDatabase
from tests.support import bus as stranger
from tests.support.lanes import headers

Examine = Callable[..., Awaitable[dict[str, Finding]]]
Owner = Any
GROUND = ("settings", "keys", "postgres", "role", "migrations", "clock", "kafka", "topics", "history")


@pytest.fixture
async def whole(bus: Bus) -> Bus:
    """Every topic as it is declared."""
    prefix = f"{bus.prefix}whole-"
    await kafka_topics.create_topics(
        bus.bootstrap, [kafka_topics.Topic(prefix + topic.name, topic.partitions, topic.config()) for topic in ALL]
    )
    return Bus(bus.bootstrap, prefix)


@pytest.fixture
def examine(clone: Clone, whole: Bus, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Examine auth on good ground, but for the variables that are given; None takes one away."""

    async def run(**changes: str | None) -> dict[str, Finding]:
        keys = clone.cluster.keys
        right: dict[str, str | None] = {
            "DATABASE_URL": clone.urls("auth").app,
            "KAFKA": whole.bootstrap,
            "TOPIC_PREFIX": whole.prefix,
            "PUBLIC_KEYS": str(keys / "public"),
            "PRIVATE_KEYS": str(keys / "private" / "auth.json"),
            "CODE_KEY": "A" * 44,
            "PASSWORD_PEPPER": "B" * 44,
            "TOKEN_PRIVATE_KEYS": str(keys / "tokens" / "private.json"),
            "TOKEN_KEYS": str(keys / "tokens" / "public.json"),
            "TOKEN_ISSUER": "https://auth.example.no",
        }
        for name, value in (right | changes).items():
            if value is None:
                monkeypatch.delenv(f"SAMBAND_{name}", raising=False)
            else:
                monkeypatch.setenv(f"SAMBAND_{name}", value)
        found = {finding.check: finding async for finding in doctor.examine(AUTH)}
        assert set(found) == set(GROUND)
        assert all(finding.do for finding in found.values() if finding.verdict is not Verdict.OK)
        return found

    return run


def verdicts(found: dict[str, Finding], verdict: Verdict) -> set[str]:
    return {name for name, finding in found.items() if finding.verdict is verdict}


async def test_on_good_ground_all_is_well(examine: Examine) -> None:
    found = await examine()
    assert verdicts(found, Verdict.OK) == set(GROUND)
    assert found["postgres"].found.startswith("PostgreSQL 18")


async def test_without_settings_nothing_else_is_looked_at_and_each_variable_is_named(examine: Examine) -> None:
    found = await examine(DATABASE_URL=None, CODE_KEY="short")
    assert verdicts(found, Verdict.WRONG) == {"settings"}
    assert verdicts(found, Verdict.COULD_NOT_LOOK) == set(GROUND) - {"settings"}
    assert "SAMBAND_DATABASE_URL: is missing" in found["settings"].found
    assert "short" not in found["settings"].found


async def test_with_postgres_away_kafka_and_its_topics_are_still_looked_at(examine: Examine) -> None:
    found = await examine(DATABASE_URL=f"postgresql://auth_app:secret@127.0.0.1:{free_port()}/samband")
    assert verdicts(found, Verdict.WRONG) == {"postgres"}
    assert verdicts(found, Verdict.COULD_NOT_LOOK) == {"role", "migrations", "clock", "history"}
    assert "ConnectionRefusedError" in found["postgres"].found
    assert "secret" not in str(found)


async def test_with_kafka_away_or_unnamed_postgres_is_still_looked_at(examine: Examine) -> None:
    found = await examine(KAFKA=f"127.0.0.1:{free_port()}")
    assert verdicts(found, Verdict.WRONG) == {"kafka"}
    assert verdicts(found, Verdict.COULD_NOT_LOOK) == {"topics", "history"}
    found = await examine(KAFKA=None)
    assert verdicts(found, Verdict.NOT_LOOKED_AT) == {"kafka", "topics", "history"}
    assert verdicts(found, Verdict.OK) == set(GROUND) - {"kafka", "topics", "history"}
    assert {found[name].found for name in ("topics", "history")} == {"SAMBAND_KAFKA is not set"}


async def test_of_several_servers_that_do_not_answer_each_is_named(examine: Examine) -> None:
    one, two = free_port(), free_port()
    found = await examine(DATABASE_URL=f"postgresql://auth_app:secret@127.0.0.1:{one},127.0.0.1:{two}/samband")
    assert found["postgres"].found.startswith(f"Postgres at 127.0.0.1:{one},127.0.0.1:{two} does not answer")
    assert "secret" not in str(found)


async def test_a_postgres_that_accepts_and_is_silent_is_a_check_that_could_not_look(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECK_SECONDS", 0.3)

    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("chassis.migrate.pending", silent)
    async with asyncio.timeout(20):
        found = await examine()
    assert verdicts(found, Verdict.COULD_NOT_LOOK) >= {"migrations"}
    assert found["migrations"].found == "what it asks did not answer in time"


async def test_a_topic_that_goes_away_while_it_is_read_is_told_of(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = bus.prefix + "auth.accounts.v1"
    await stranger.write(bus.bootstrap, topic, b"{}", headers=headers("auth.AccountChanged.v1"))
    monkeypatch.setattr(ghosts, "SILENT_SECONDS", 0.5)

    async def nothing(*_: object, **__: object) -> dict[object, object]:
        return {}

    monkeypatch.setattr("aiokafka.AIOKafkaConsumer.getmany", nothing)
    async with asyncio.timeout(20):
        with pytest.raises(CannotLook, match=f"Kafka gives no more of {topic}, although more is there"):
            await ghosts.last_records(bus.bootstrap, ["auth.accounts.v1"], bus.prefix)


@pytest.mark.parametrize("servers", ["localhost:abc", ":"])
async def test_servers_that_are_none_cannot_be_looked_at(servers: str) -> None:
    for asking in (topics.is_kafka_4(servers), ghosts.last_records(servers, ["auth.accounts.v1"])):
        with pytest.raises(CannotLook, match="names no servers of Kafka"):
            await asking


@pytest.mark.goal("sec-P5")
@pytest.mark.parametrize(
    ("told", "verdict", "words"),
    [
        (True, Verdict.WRONG, "makes every topic that somebody asks for"),
        (None, Verdict.OK, "does not tell whether it makes topics by itself"),
        (False, Verdict.OK, "and makes no topic by itself"),
    ],
)
async def test_a_broker_that_makes_topics_by_itself_is_wrong(
    told: bool | None, verdict: Verdict, words: str, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def makes_topics(_: str) -> bool | None:
        return told

    monkeypatch.setattr("chassis.topics.makes_topics", makes_topics)
    found = (await examine())["kafka"]
    assert found.verdict is verdict
    assert words in found.found


async def test_a_password_that_is_refused_is_told_without_it(examine: Examine, clone: Clone) -> None:
    found = await examine(DATABASE_URL=clone.urls("auth").app.replace("auth_app:", "auth_app:not-"))
    assert "password authentication failed" in found["postgres"].found
    assert clone.urls("auth").app.split(":")[2].partition("@")[0] not in str(found)


async def test_topics_that_are_not_as_declared_are_named(examine: Examine, bus: Bus) -> None:
    found = await examine(TOPIC_PREFIX=bus.prefix)
    assert verdicts(found, Verdict.WRONG) == {"topics"}
    assert f"{bus.prefix}auth.accounts.v1: partitions is 3 and should be 6" in found["topics"].found
    found = await examine(TOPIC_PREFIX=f"{bus.prefix}nowhere-")
    assert f"{bus.prefix}nowhere-auth.codes.v1 is missing" in found["topics"].found
    assert verdicts(found, Verdict.COULD_NOT_LOOK) == {"history"}


async def test_a_login_role_with_more_than_rows_is_told_what_it_holds(
    examine: Examine, clone: Clone, owner: Owner
) -> None:
    found = await examine(DATABASE_URL=clone.urls("auth").owner)
    assert "role" in verdicts(found, Verdict.WRONG)
    assert "auth_owner owns" in found["role"].found
    assert "is a member of the owner of the schema auth" in found["role"].found
    name = clone.cluster.admin.rpartition("/")[0] + "/" + clone.name
    found = await examine(DATABASE_URL=name)
    for what in ("is a superuser", "bypasses row level security", "works in the schema", "may use the schemas"):
        assert what in found["role"].found
    await owner.execute("grant usage on schema notifications to auth_app")
    try:
        assert (await examine())["role"].found == "the login role auth_app may use the schemas notifications"
    finally:
        await owner.execute("revoke usage on schema notifications from auth_app")


async def test_a_migration_that_is_missing_is_named(examine: Examine, owner: Owner) -> None:
    await owner.execute("delete from auth.schema_migrations where origin = 'auth' and number = 1")
    found = (await examine())["migrations"]
    assert found.verdict is Verdict.WRONG
    assert found.found == "1 are missing: auth 0001_create_accounts_and_codes.sql"
    assert found.do == "run `python -m services.auth migrate`"
    await owner.execute("create table auth.spoilt ()")  # This database is not given to another test.


async def test_whose_access_tokens_are_good_is_looked_at(examine: Examine, tmp_path: Path) -> None:
    public, private = keysets.make_tokens(tmp_path)
    good = (await examine(TOKEN_KEYS=str(public), TOKEN_ISSUER="https://auth.example.no"))["keys"]
    assert (good.verdict, "access tokens are signed by auth-tokens-1" in good.found) == (Verdict.OK, True)
    for keys, issuer, says in (
        (str(public), None, "SAMBAND_TOKEN_ISSUER are not both set"),
        (None, "https://auth.example.no", "SAMBAND_TOKEN_ISSUER are not both set"),
        (str(private), "https://auth.example.no", "every key must be a public"),
        (str(tmp_path / "none.json"), "https://auth.example.no", "cannot be read"),
    ):
        found = (await examine(TOKEN_KEYS=keys, TOKEN_ISSUER=issuer))["keys"]
        assert found.verdict is Verdict.WRONG
        assert says in found.found


async def test_keys_that_do_not_fit_are_told_of(examine: Examine, clone: Clone) -> None:
    strange = clone.cluster.keys / "private" / "things.json"
    found = (await examine(PRIVATE_KEYS=str(strange)))["keys"]
    assert found.verdict is Verdict.WRONG
    assert "offers auth-1, whose private half is not mounted" in found.found
    assert "/nowhere" in (await examine(PRIVATE_KEYS="/nowhere"))["keys"].found


async def test_a_clock_that_is_off_is_told_by_how_much(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CLOCK_SECONDS", -1.0)
    found = (await examine())["clock"]
    assert found.verdict is Verdict.WRONG
    assert found.found.startswith("this machine's clock and Postgres' one differ by 0.")


@pytest.mark.goal("rel-R11")
async def test_a_database_that_was_restored_untold_is_found_by_what_kafka_knows_and_it_does_not(
    examine: Examine, whole: Bus, open_as: OpenDatabase
) -> None:
    await stranger.write(
        whole.bootstrap, f"{whole.prefix}auth.accounts.v1", b"{}", headers=headers("auth.AccountChanged.v1")
    )
    found = (await examine())["history"]
    assert found.verdict is Verdict.WRONG
    assert found.found.startswith("Kafka has records that this database never sent, such as auth.accounts.v1 ")
    await _note(await open_as("auth"))
    assert (await examine())["history"].verdict is Verdict.OK


async def test_what_the_settings_leave_out_is_not_counted_wrong(
    examine: Examine, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await examine(ARCHIVE_DAYS="0")
    assert verdicts(found, Verdict.NOT_LOOKED_AT) == {"history"}
    assert "SAMBAND_ARCHIVE_DAYS is 0" in found["history"].found
    assert await command.run(AUTH, argparse.Namespace()) == 0
    await examine(KAFKA=None)
    capsys.readouterr()
    assert await command.run(AUTH, argparse.Namespace()) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"ok": 6, "wrong": 0, "could_not_look": 0, "not_looked_at": 3}


async def _note(database: Database) -> None:
    async with database.transaction() as conn:
        await restores.note(conn)
        assert (await restores.last(conn)) is not None
        assert await outbox.depth(conn) == (0, 0.0)


def mail_settings(port: int) -> NotificationsSettings:
    return NotificationsSettings.model_construct(
        smtp_host="127.0.0.1", smtp_port=port, smtp_starttls=False, smtp_user=None, smtp_password=None,
        smtp_answer_seconds=3.0, message_id_domain="eksempel.example",
    )  # fmt: skip


async def test_the_mail_server_is_greeted_where_the_service_sends() -> None:
    assert [check.__name__ for check in NOTIFICATIONS.upkeep.checks(mail_settings(1))] == ["mail_server"]
    assert AUTH.upkeep.checks(None) == ()
    async with Mailbox() as box:
        (check,) = checks(mail_settings(box.smtp_port))
        assert (await check()).verdict is Verdict.OK
        assert box.mails.listed() == []
    found = await check()
    assert (found.verdict, found.check) == (Verdict.WRONG, "smtp")
    assert "does not take us" in found.found and "SAMBAND_SMTP_HOST" in found.do


async def test_a_statement_that_fails_is_a_check_that_could_not_look(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise asyncpg.QueryCanceledError("too slow")

    monkeypatch.setattr("chassis.migrate.pending", fail)
    found = await examine()
    assert verdicts(found, Verdict.COULD_NOT_LOOK) == {"migrations"}
    assert found["migrations"].found == "Postgres did not tell: QueryCanceledError"
