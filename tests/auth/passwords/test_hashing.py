"""Hashing: as dear as OWASP says, for its account and under a key, in a bounded queue beside the event loop (sec-A6)."""

import asyncio
import base64
import unicodedata
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from services.auth.passwords.errors import Busy
from services.auth.passwords.hashing import Hashing
from tests.auth.world import PASSWORD, PEPPER

pytestmark = pytest.mark.goal("sec-A6")
KARI, OLA = uuid4(), uuid4()


def test_a_hash_is_argon2id_of_19_mib_and_two_passes() -> None:
    kept = Hashing(PEPPER).hash(KARI, PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_password_matches_its_own_hash_and_no_other() -> None:
    hashing = Hashing(PEPPER)
    async with hashing.slot() as slot:
        kept = await slot.hash(KARI, PASSWORD)
        assert await slot.compare(KARI, PASSWORD, kept) == kept
        assert await slot.compare(KARI, unicodedata.normalize("NFD", PASSWORD), kept) == kept
        assert await slot.compare(KARI, PASSWORD + " ", kept) is None
        assert await slot.compare(OLA, PASSWORD, kept) is None
        assert await slot.compare(KARI, PASSWORD, None) is None
        assert await slot.compare(None, "nobody's password", None) is None


async def test_a_hash_is_worth_nothing_without_the_pepper() -> None:
    kept = Hashing(PEPPER).hash(KARI, PASSWORD)
    other = Hashing(SecretStr(base64.b64encode(b"o" * 32).decode()))
    async with other.slot() as slot:
        assert await slot.compare(KARI, PASSWORD, kept) is None


async def test_a_hash_with_older_parameters_is_renewed_when_it_matches() -> None:
    old = Hashing(PEPPER, hasher=PasswordHasher(1, 8, 1)).hash(KARI, PASSWORD)
    async with Hashing(PEPPER).slot() as slot:
        assert await slot.compare(KARI, PASSWORD + " ", old) is None
        renewed = await slot.compare(KARI, PASSWORD, old)
        assert renewed is not None
        assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert await slot.compare(KARI, PASSWORD, renewed) == renewed


async def test_a_long_password_counts_to_its_last_character() -> None:
    long = "å" * 500 + "x" * 24
    async with Hashing(PEPPER).slot() as slot:
        kept = await slot.hash(KARI, long)
        assert await slot.compare(KARI, long[:-1] + "y", kept) is None


async def test_whoever_comes_when_all_places_are_taken_is_refused_at_once_and_may_come_again() -> None:
    hashing = Hashing(PEPPER, threads=1, waiting=2)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def stay() -> None:
        async with hashing.slot():
            entered.set()
            await leave.wait()

    held = [asyncio.create_task(stay()) for _ in range(3)]
    await entered.wait()
    await asyncio.gather(*(asyncio.sleep(0) for _ in held))
    with pytest.raises(Busy) as refused:
        async with hashing.slot():
            pass
    assert refused.value.retry_after == 3
    leave.set()
    await asyncio.gather(*held)
    async with hashing.slot() as slot:
        assert await slot.hash(KARI, PASSWORD)


async def test_whoever_leaves_gives_the_place_back() -> None:
    hashing = Hashing(PEPPER, threads=1, waiting=0)
    entered = asyncio.Event()

    async def stay() -> None:
        async with hashing.slot():
            entered.set()
            await asyncio.Event().wait()

    leaving = asyncio.create_task(stay())
    await entered.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    async with hashing.slot() as slot:
        assert await slot.hash(KARI, PASSWORD)


async def test_the_event_loop_goes_on_while_hundreds_are_hashed() -> None:
    hashing = Hashing(PEPPER, threads=1, waiting=100)
    beats = 0

    async def hash_one() -> None:
        async with hashing.slot() as slot:
            await slot.hash(KARI, PASSWORD)

    work = asyncio.gather(*(hash_one() for _ in range(20)))
    while not work.done():
        beats += 1
        await asyncio.sleep(0.001)
    await work
    assert beats > 20


def test_its_threads_end_when_they_are_let_go() -> None:
    hashing = Hashing(PEPPER, threads=1)
    hashing.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        asyncio.run(hashing.run(lambda: None))
