"""Voids: what auth says is void is refused in every api process at once, and after a restart too (sec-A10)."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import APIRouter

from chassis import access, tokens, voids
from chassis.access import Caller
from chassis.bell import Bell
from chassis.errors import Misconfigured
from chassis.handlers import Handlers
from chassis.postgres import Database
from chassis.service import Runtime, Service, serve
from chassis.settings import ServiceSettings
from chassis.tokens import Claims
from chassis.voids import Voids
from contracts.auth import TokensVoided
from tests.chassis.test_service import Served, serving, settings_of
from tests.conftest import Bus, Clone
from tests.support.bus import write
from tests.support.effects import Owner
from tests.support.lanes import consuming, headers
from tests.support.tickets import ISSUER, KEY, carried, claims, key_file
from tests.support.waiting import until

HANDLERS = Handlers()
voids.hear(HANDLERS)
SETTLED_SECONDS = 1.0
"""What sec-A10 gives from the moment that auth has said it."""


def routers(runtime: Runtime[ServiceSettings]) -> Sequence[APIRouter]:
    routes = APIRouter(prefix="/v1")

    @routes.get("/me")
    async def show_me(caller: Annotated[Caller, access.needs()]) -> str:
        return caller.name

    return [routes]


SERVICE = Service("things", ServiceSettings, Path(__file__).parent, routers=routers, handlers=HANDLERS)


class Api:
    """An api process of a service whose one route needs a caller."""

    def __init__(self, served: Served) -> None:
        self.served = served

    async def status(self, said: Claims) -> int:
        headers = carried(tokens.sign(said, KEY))
        return (await self.served.client.get("/v1/me", headers=headers)).status_code

    async def refuses(self, said: Claims, *, within: float = 20) -> None:
        async def refused() -> bool:
            return await self.status(said) == httpx2.codes.UNAUTHORIZED

        await until(refused, what="a token that is refused", seconds=within)


@asynccontextmanager
async def api(clone: Clone, folder: Path, of: Service[ServiceSettings] = SERVICE) -> AsyncIterator[Api]:
    told = {"token_keys": key_file(folder), "token_issuer": ISSUER}
    settings = settings_of(clone, clone.urls("things").app).model_copy(update=told)
    async with serving(settings, of=of) as served:
        await served.ready()
        yield Api(served)


def of_session(said: Claims) -> TokensVoided:
    return TokensVoided(account_id=person(said), session_id=said.session_id, voided_at=datetime.now(UTC))


def below(said: Claims, epoch: int, *, ago: timedelta = timedelta(0)) -> TokensVoided:
    return TokensVoided(account_id=person(said), below_epoch=epoch, voided_at=datetime.now(UTC) - ago)


def person(said: Claims) -> UUID:
    return UUID(said.subject)


async def tell(bus: Bus, message: TokensVoided) -> None:
    """Say it on the bus as auth's relay would."""
    value, topic = message.model_dump_json().encode(), bus.prefix + message.topic.name
    await write(bus.bootstrap, topic, value, key=message.key.encode(), headers=headers(message.type))


@pytest.mark.goal("sec-A10")
async def test_a_session_or_an_account_whose_tokens_are_void_is_refused_within_a_second_and_after_a_restart(
    clone: Clone, database: Database, bus: Bus, tmp_path: Path
) -> None:
    ended, disabled, another = claims(), claims(epoch=7), claims()
    anew = claims(subject=disabled.subject, epoch=8)
    async with consuming(database, bus, HANDLERS), api(clone, tmp_path) as running:
        for said in (ended, disabled, anew, another):
            assert await running.status(said) == httpx2.codes.OK
        for message, said in ((of_session(ended), ended), (below(disabled, 8), disabled)):
            await tell(bus, message)
            await running.refuses(said, within=SETTLED_SECONDS)
        assert [await running.status(said) for said in (anew, another)] == [200, 200]
    async with api(clone, tmp_path) as again:
        assert [await again.status(said) for said in (ended, disabled, anew, another)] == [401, 401, 200, 200]


@pytest.mark.goal("sec-A10")
async def test_while_the_bus_says_nothing_a_token_is_good_to_its_own_end_and_no_longer(
    clone: Clone, bus: Bus, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    short = claims(issued_at=now - timedelta(seconds=57), expires_at=now + timedelta(seconds=3))
    await tell(bus, of_session(short))  # Nobody consumes.
    async with api(clone, tmp_path) as running:
        await running.refuses(short)
        assert time.time() >= int(short.expires_at.timestamp())


async def note(database: Database, message: TokensVoided) -> None:
    async with database.transaction() as conn:
        await voids.note(conn, message)


@pytest.mark.goal("sec-A10")
@pytest.mark.parametrize("deaf", ["to the bell", "between two looks"])
async def test_the_bell_and_the_look_of_every_second_each_suffice(
    deaf: str, clone: Clone, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if deaf == "to the bell":
        monkeypatch.setattr(Bell, "ring", lambda _, __: None)
    else:
        monkeypatch.setattr(voids, "EVERY_SECONDS", 3_600)
    said = claims()
    async with api(clone, tmp_path) as running:
        assert await running.status(said) == httpx2.codes.OK
        await note(database, of_session(said))
        await running.refuses(said)


@pytest.mark.goal("sec-A10")
async def test_a_service_with_an_authenticator_of_its_own_that_takes_tokens_too_refuses_what_it_has_noted_itself(
    clone: Clone, database: Database, tmp_path: Path
) -> None:
    deciding = replace(
        SERVICE,
        handlers=Handlers(),
        authenticator=lambda runtime: access.bearer(runtime.settings, "things", runtime.voids),
    )
    said = claims()
    async with api(clone, tmp_path, deciding) as running:
        assert await running.status(said) == httpx2.codes.OK
        await note(database, of_session(said))
        await running.refuses(said)


async def test_no_request_asks_postgres_about_a_token(
    clone: Clone, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Database) -> None:
        raise AssertionError("somebody asks")

    monkeypatch.setattr(voids, "EVERY_SECONDS", 3_600)
    said, ended = claims(), claims()
    await note(database, of_session(ended))
    async with api(clone, tmp_path) as running:
        with monkeypatch.context() as patched:
            patched.setattr(Database, "transaction", fail)
            assert [await running.status(each) for each in (said, ended)] == [200, 401]


async def test_an_api_is_not_ready_and_lets_nobody_in_until_it_knows_which_tokens_are_void(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_look, find = asyncio.Event(), voids.find_voided

    async def look_later(conn: Any, **since: int) -> Any:
        await may_look.wait()
        return await find(conn, **since)

    monkeypatch.setattr(voids, "find_voided", look_later)
    told = {"token_keys": key_file(tmp_path), "token_issuer": ISSUER}
    settings = settings_of(clone, clone.urls("things").app).model_copy(update=told)
    async with serving(settings, of=SERVICE) as served:

        async def waits_for_parts() -> bool:
            return (await served.answer("/readyz")).text == "failed: parts\n"

        await until(waits_for_parts, what="an api that waits for its parts")
        assert await Api(served).status(claims()) == httpx2.codes.SERVICE_UNAVAILABLE
        may_look.set()
        await served.ready()
        assert await Api(served).status(claims()) == httpx2.codes.OK


async def test_a_service_whose_routes_need_a_caller_does_not_start_without_knowing_whose_tokens_are_good(
    clone: Clone,
) -> None:
    settings = settings_of(clone, clone.urls("things").app)
    with pytest.raises(Misconfigured, match="SAMBAND_TOKEN_KEYS"):
        await serve(SERVICE, settings, api=True, worker=False)


@pytest.mark.goal("sec-A10")
async def test_an_outage_of_postgres_leaves_the_mirror_as_it_was_and_is_over_when_it_is_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object, **__: int) -> None:
        raise ConnectionError

    mirror, said = Voids(), claims()
    await note(database, of_session(said))
    loop = voids.mirror(database, mirror)
    await loop._tick()
    with monkeypatch.context() as patched:
        patched.setattr(voids, "find_voided", fail)
        assert await loop._tick() == 0
    assert mirror.hold(said)
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(voids, "find_voided", lambda _, **__: 1 / 0)
        await loop._tick()


@pytest.mark.goal("sec-A10")
async def test_what_is_noted_first_and_committed_last_is_seen_too(database: Database) -> None:
    mirror, first, last = Voids(), claims(), claims()
    loop = voids.mirror(database, mirror)
    await loop._tick()
    async with database.transaction() as slow:
        await voids.note(slow, of_session(first))
        await note(database, of_session(last))
        await loop._tick()
        assert (mirror.hold(first), mirror.hold(last)) == (False, True)
        await note(database, below(anew := claims(epoch=4), 5))
        await loop._tick()
    await loop._tick()
    assert [mirror.hold(each) for each in (first, last, anew)] == [True, True, True]


async def test_after_the_first_look_only_what_is_new_is_read_and_all_of_it_again_at_times_and_after_a_failure(
    database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise ConnectionError

    mirror = Voids()
    loop = voids.mirror(database, mirror)
    for again in ("in time", "after a failure"):
        monkeypatch.setattr(voids, "ANEW_SECONDS", 3_600.0)
        await note(database, of_session(known := claims()))
        await loop._tick()
        await owner.execute("delete from things.voided_tokens")
        await note(database, of_session(later := claims()))
        await loop._tick()
        assert (mirror.hold(known), mirror.hold(later)) == (True, True)
        with monkeypatch.context() as patched:
            late = SimpleNamespace(monotonic=lambda: 1e9)
            patched.setattr(voids, *(("time", late) if again == "in time" else ("find_horizon", fail)))
            await loop._tick()
        await loop._tick()
        assert (mirror.hold(known), mirror.hold(later)) == (False, True)


async def test_a_server_that_has_counted_less_is_read_from_its_beginning(
    database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Voids()
    loop = voids.mirror(database, mirror)
    with monkeypatch.context() as patched:
        patched.setattr(voids, "find_horizon", found := Horizon(2**40))
        await loop._tick()
        await note(database, of_session(said := claims()))
        await loop._tick()
        assert not mirror.hold(said)
        found.at = 3
        await loop._tick()
    assert mirror.hold(said)


class Horizon:
    """A server's count of transactions, as a test sets it."""

    def __init__(self, at: int) -> None:
        self.at = at

    async def __call__(self, _: object) -> int:
        return self.at


async def voided(database: Database) -> tuple[set[UUID], dict[UUID, int]]:
    async with database.transaction() as conn:
        return await voids.find_voided(conn)


async def test_what_comes_twice_late_or_out_of_order_changes_nothing(database: Database) -> None:
    said = claims()
    for epoch in (8, 9, 9, 7):
        await note(database, below(said, epoch))
    for _ in range(2):
        await note(database, of_session(said))
    await note(database, below(claims(), 5, ago=timedelta(seconds=voids.KEPT_SECONDS + 1)))
    assert await voided(database) == ({said.session_id}, {person(said): 9})


async def test_what_no_token_can_be_void_by_any_more_is_forgotten_a_few_at_a_time(
    database: Database, owner: Owner
) -> None:
    for _ in range(5):
        await note(database, of_session(claims()))
    await owner.execute("update things.voided_tokens set noted_at = now() - interval '901 seconds'")
    await note(database, of_session(said := claims()))
    assert await voided(database) == ({said.session_id}, {})
    async with database.transaction() as conn:
        assert [await voids.prune(conn, 3) for _ in range(3)] == [3, 2, 0]
    assert await owner.fetchval("select count(*) from things.voided_tokens") == 1


def test_a_mirror_takes_all_anew() -> None:
    mirror, said = Voids(), claims()
    assert not mirror.loaded
    mirror.update([said.session_id or uuid4()], {})
    assert mirror.hold(said)
    mirror.update([], {})
    assert (mirror.loaded, mirror.hold(said)) == (True, False)


def test_what_a_mirror_takes_besides_lowers_no_epoch() -> None:
    mirror, said = Voids(), claims(epoch=6)
    mirror.update([], {person(said): 7})
    mirror.add([], {person(said): 5})
    assert mirror.hold(said)
    mirror.add([], {person(said): 8})
    assert mirror.hold(replace(said, epoch=7))
