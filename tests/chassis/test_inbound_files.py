"""Inbound files: each is its system's alone and kept for the one request that refers to it; the others are erased."""

import hashlib
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from chassis import inbound, janitor
from chassis.handlers import Handlers
from chassis.inbound import FileGone, FileInUse, UnknownFile
from chassis.postgres import Connection, Database
from chassis.requests import Caller, Requests
from chassis.sealing import Keyring
from contracts.requests import Declined
from tests.support.asking import (
    KEY,
    OURS,
    Asker,
    ForgetThing,
    ThingRequestAccepted,
    ThingRequestNotProven,
    ThingRequestRefused,
    answers,
    arrival,
    listening,
    system,
    take,
)
from tests.support.effects import Owner
from tests.support.uploading import CONTENT, LONG, begin, begun, kept, read, receiving, refer, token, upload


@pytest.fixture
def app(known: Database) -> FastAPI:
    return receiving(known)


async def test_a_file_that_is_referred_to_is_kept_until_it_is_let_go(
    app: FastAPI, known: Database, owner: Owner
) -> None:
    file_id = UUID((await upload(app, token(CONTENT))).json()["file_id"])
    found = await refer(known, file_id)
    assert (found.id, found.length, found.sha256) == (file_id, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    await janitor.loop(known)._tick()
    assert await kept(owner) == 1
    async with known.transaction() as conn:
        await inbound.release(conn, file_id)
    await janitor.loop(known)._tick()
    assert await owner.fetchval("select count(*) from things.inbound_chunks") == 0
    assert await kept(owner) == 0


async def test_a_file_is_for_one_request_and_another_is_refused(app: FastAPI, known: Database) -> None:
    file_id = (await upload(app, token(CONTENT))).json()["file_id"]
    await refer(known, UUID(file_id))
    with pytest.raises(FileInUse):
        await refer(known, UUID(file_id))
    with pytest.raises(UnknownFile):
        await refer(known, UUID(file_id), "desk")
    assert await read(known, file_id) == CONTENT


@pytest.mark.parametrize("lost", ["delete from things.inbound_chunks", "delete from things.inbound_files"])
async def test_what_is_not_whole_any_more_is_never_read_as_if_it_were(
    lost: str, app: FastAPI, known: Database, owner: Owner
) -> None:
    file_id = (await upload(app, token(LONG), LONG)).json()["file_id"]
    await owner.execute(lost)
    with pytest.raises(FileGone):
        await read(known, file_id)


@pytest.mark.goal("sec-F15")
async def test_a_file_is_its_systems_alone_and_anothers_looks_missing(app: FastAPI, known: Database) -> None:
    file_id = UUID((await upload(app, token(CONTENT))).json()["file_id"])
    for name, other in (("desk", file_id), ("member", uuid4())):
        with pytest.raises(UnknownFile):
            await refer(known, other, name)


def reading() -> Handlers:
    """Handlers that forget a thing when the file of its id says so."""
    found = Handlers()
    asked = Requests(
        found, accepted=ThingRequestAccepted, refused=ThingRequestRefused, not_proven=ThingRequestNotProven
    )

    @asked.on(ForgetThing)
    async def forget(conn: Connection, request: ForgetThing, caller: Caller) -> str:
        file = await inbound.refer(conn, request.thing_id, caller.system)
        content = b"".join([piece async for piece in inbound.read(conn, file.id)])
        await inbound.release(conn, file.id)
        return content.decode()

    return found


async def test_a_request_refers_to_a_file_and_one_without_it_is_refused(app: FastAPI, database: Database) -> None:
    known = listening(database, system("member", KEY, types=frozenset({ForgetThing.type})))
    asker = Asker("member", KEY, Keyring("member", {}, None))
    file_id = UUID((await upload(app, token(CONTENT))).json()["file_id"])
    for offset, name in enumerate((file_id, uuid4())):
        signed = asker.sign(ForgetThing(thing_id=name, organisation_id=OURS))
        await take(known, arrival(signed, offset=offset), found=reading())
    accepted, refused = await answers(known)
    assert accepted.given == CONTENT.decode()
    assert (refused.reason, refused.code) == (Declined.BY_RULE, "urn:samband:problem:unknown-file")


async def test_what_did_not_come_whole_cannot_be_referred_to(known: Database) -> None:
    file_id, _ = await begin(known)
    with pytest.raises(UnknownFile):
        await refer(known, file_id)


@pytest.mark.parametrize(("whole", "minutes"), [(True, 24 * 60), (False, 5)])
async def test_what_nobody_refers_to_is_erased_in_its_time(
    whole: bool, minutes: int, app: FastAPI, known: Database, owner: Owner
) -> None:
    if whole:
        await upload(app, token(CONTENT))
    else:
        await begin(known)
    for age, left in ((timedelta(minutes=minutes - 1), 1), (timedelta(minutes=2), 0)):
        await owner.execute("update things.inbound_files set expires_at = expires_at - $1::interval", age)
        await janitor.loop(known)._tick()
        assert await begun(owner) == left


async def test_a_file_whose_day_is_over_is_missing_also_before_it_is_erased(
    app: FastAPI, known: Database, owner: Owner
) -> None:
    file_id = UUID((await upload(app, token(CONTENT))).json()["file_id"])
    await owner.execute("update things.inbound_files set expires_at = now() - interval '1 second'")
    with pytest.raises(UnknownFile):
        await refer(known, file_id)
