"""Cast: whom and what a round is about; nobody else touches them."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx2
from pydantic import SecretStr

from chassis import scope
from deploy.local.journey import Person
from services.auth.passwords import store as passwords
from services.auth.passwords.hashing import Hashing
from services.auth.people import accounts
from services.auth.people import store as people
from services.auth.people.addresses import normalise
from services.auth.people.store import Person as Known
from services.auth.people.user_names import Login
from tests.faults.post import BOUNCING
from tests.faults.stage import House, Stage, opened
from tests.faults.visitor import Visitor

PASSWORD = "sju trapper opp til loftet"
PEOPLE, BOUNCING_PEOPLE, MOST_REDEEMERS = 30, 2, 12


@dataclass(slots=True)
class Cast:
    """A round's books, people and users."""

    books: list[UUID]
    closed_books: list[UUID]
    client: httpx2.AsyncClient
    people: list[Person] = field(default_factory=list)
    """They ask for codes again and again."""
    redeemers: list[Person] = field(default_factory=list)
    """They ask once, and redeem what comes: a log-in would use up what else they asked for."""
    activators: list[Visitor] = field(default_factory=list)
    """They have no password yet."""
    guessed_at: list[str] = field(default_factory=list)
    """Addresses of people whose password somebody guesses at."""
    leavers: list[str] = field(default_factory=list)
    """Addresses of people who log in here and there, and out again."""
    users: list[UUID] = field(default_factory=list)
    """Users of an organisation, and who edits them."""
    superuser: Visitor | None = None

    @property
    def addresses(self) -> set[str]:
        asking = (*self.people, *self.redeemers, *self.activators)
        return {*(person.address for person in asking), *self.guessed_at, *self.leavers}

    def stranger(self, address: str) -> Visitor:
        """Give a person's new browser, which nobody knows."""
        return Visitor(address, self.client)


@asynccontextmanager
async def cast(stage: Stage, *, name: str, books: int, codes: int, acts: int) -> AsyncIterator[Cast]:
    """Make the round's books, and its people where codes are asked for: so many of each kind as `acts` says."""
    closed = [uuid4() for _ in range(2)]
    async with stage.admin() as conn:
        await conn.executemany("insert into ledger.books (id, closed) values ($1, true)", [(book,) for book in closed])
    url = stage.keeper("auth", "api").url if codes else ""
    async with httpx2.AsyncClient(base_url=url, timeout=15, limits=httpx2.Limits(max_connections=60)) as client:
        made = Cast([uuid4() for _ in range(books)], closed, client)
        if codes:
            await _ask_people(stage, made, name, codes)
        if acts:
            await _ask_actors(stage, made, name, acts)
        yield made


async def _ask_people(stage: Stage, made: Cast, name: str, codes: int) -> None:
    """Make accounts, each a browser of its own."""
    addresses = [f"person{n}-{name}@eksempel.example" for n in range(PEOPLE)]
    addresses += [f"{BOUNCING}{n}-{name}@eksempel.example" for n in range(BOUNCING_PEOPLE)]
    redeeming = [f"redeemer{n}-{name}@eksempel.example" for n in range(min(MOST_REDEEMERS, codes // 4))]
    await _add(stage, (*addresses, *redeeming))
    made.people, made.redeemers = (
        [Person(address, made.client) for address in some] for some in (addresses, redeeming)
    )
    for person in (*made.people, *made.redeemers):
        (await person.show_codes()).raise_for_status()


async def _ask_actors(stage: Stage, made: Cast, name: str, acts: int) -> None:
    """Make those who do one thing each: activate, are guessed at (twice as many), leave, are edited."""
    activating = [f"activator{n}-{name}@eksempel.example" for n in range(acts)]
    made.guessed_at = [f"guessed{n}-{name}@eksempel.example" for n in range(2 * acts)]
    made.leavers = [f"leaver{n}-{name}@eksempel.example" for n in range(acts)]
    house = await _house(stage)
    await _add(stage, activating)
    await _add(stage, (*made.guessed_at, *made.leavers), password=PASSWORD)
    edited = [f"user{n}-{name}@eksempel.example" for n in range(acts)]
    made.users = await _add(stage, edited, home=house.organisation_id)
    made.activators = [Visitor(address, made.client) for address in activating]
    for person in made.activators:
        (await person.show_codes()).raise_for_status()
    made.superuser = Visitor(house.superuser, made.client)
    (await made.superuser.log_in(PASSWORD)).raise_for_status()


async def _house(stage: Stage) -> House:
    """Give the organisation whose users are edited; the first time, make it and its superuser as an operator does."""
    if stage.house is None:
        told = await stage.platform.run("auth", "organisations", "add", "Eksempelbedriften AS")
        organisation_id = json.loads(told.splitlines()[-1])["added"]
        address = f"superuser-{uuid4().hex[:6]}@eksempel.example"
        await stage.platform.run("auth", "superusers", "add", "--organisation", organisation_id, address)
        stage.house = House(UUID(organisation_id), address)
        await _set_password(stage, [address], PASSWORD)
    return stage.house


async def _add(
    stage: Stage, addresses: Sequence[str], *, password: str | None = None, home: UUID | None = None
) -> list[UUID]:
    made = []
    with scope.entered(scope.SYSTEM):
        async with opened(stage.platform, "auth", size=1) as auth:
            for address in addresses:
                async with auth.transaction() as conn:
                    account = await accounts.add(conn, normalise(address), "nb", Known(organisation_id=home))
                made.append(account.id)
    if password is not None:
        await _set_password(stage, addresses, password)
    return made


async def _set_password(stage: Stage, addresses: Sequence[str], password: str) -> None:
    """Let people have a password already: nobody is told."""
    hashing = Hashing(SecretStr(stage.platform.environments["auth"]["SAMBAND_PASSWORD_PEPPER"]))
    with scope.entered(scope.SYSTEM):
        async with opened(stage.platform, "auth", size=1) as auth, hashing.slot() as slot:
            for address in addresses:
                async with auth.transaction() as conn:
                    account = await people.lock_account_by_login(conn, Login(normalise(address)))
                    assert account is not None
                    await passwords.replace_password(conn, account.id, await slot.hash(account.id, password))
    hashing.close()
