"""Imports: people out of a file, thousands at a time; duplicates do not stop it, and wait to be cleared up (L17-L20)."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TextIO
from uuid import UUID

import structlog

from chassis import problems
from chassis.errors import Refusal
from chassis.postgres import Connection
from contracts.rights import BY_NAME, Grantor
from services.auth.organisations.store import Organisation
from services.auth.people import accounts, names, user_names
from services.auth.people.addresses import Address, normalise
from services.auth.people.errors import AddressTaken, UserNameTaken
from services.auth.people.names import FullName
from services.auth.people.store import Person
from services.auth.people.user_names import UserNameKey
from services.auth.rights import grants
from services.auth.rights.errors import NoSuchGroup, NotYoursToGrant, WrongKindOfOrganisation
from services.auth.rights.grants import OPERATOR, Giver
from services.auth.users import imports_store, users
from services.auth.users.errors import NoSuchDuplicate, UnreadableFile
from services.auth.users.imports_store import Duplicate
from services.auth.users.store import User
from services.auth.users.users import NewUser

log = structlog.get_logger()

COLUMNS = ("user_name", "address", "full_name", "language", "active", "groups")
YES, NO = frozenset({"", "1", "true", "yes", "ja", "y", "j"}), frozenset({"0", "false", "no", "nei", "n"})
MANY_FIELDS = "this line has more fields than the first one has names"


class Outcome(StrEnum):
    """What became of a line."""

    ADDED = "added"
    PRESENT = "present"
    DUPLICATE = "duplicate"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: the fields by name, or why there are none."""

    number: int
    fields: Mapping[str, str]
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a line, and why where it is not simply in."""

    number: int
    outcome: Outcome
    reason: str | None = None
    duplicate_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """One file on its way in; remembers what stood in it before, so that it is no one's duplicate but its own."""

    organisation: Organisation
    language: str = "nb"
    _addresses: set[str] = field(default_factory=set)
    _user_names: set[str] = field(default_factory=set)

    async def take(self, conn: Connection, line: Line) -> Result:
        """Take a line in, in the caller's transaction, which stays good whatever becomes of it. The same line again is none."""
        try:
            new, chosen = self._read(line)
        except Refusal as refusal:
            return Result(line.number, Outcome.WRONG, problems.say(refusal))
        except ValueError as error:
            return Result(line.number, Outcome.WRONG, str(error))
        key = None if chosen is None else chosen[1]
        again = self._again(new.address, key)
        if again is not None:
            return await self._keep(conn, line, new, chosen, again)
        return await self._add(conn, line, new, chosen)

    async def take_all(self, conn: Connection, lines: Sequence[Line]) -> Sequence[Result]:
        """Take lines in as `take` does one after another: those at once that nothing stands in the way of."""
        free: dict[Address, tuple[Line, NewUser, tuple[str, UserNameKey] | None]] = {}
        names_here: set[str] = set()
        for line in lines:
            with suppress(Refusal, ValueError):
                new, chosen = self._read(line)
                key = None if chosen is None else chosen[1]
                if new.address not in free and key not in names_here and self._again(new.address, key) is None:
                    free[new.address] = line, new, chosen
                    names_here.update(() if key is None else (key,))
        added = await self._add_all(conn, free)
        done = {free[address][0].number: Result(free[address][0].number, Outcome.ADDED) for address in added}
        return [done.get(line.number) or await self.take(conn, line) for line in lines]

    async def _add_all(
        self, conn: Connection, free: Mapping[Address, tuple[Line, NewUser, tuple[str, UserNameKey] | None]]
    ) -> Sequence[Address]:
        people = [
            (address, new.language, Person(new.full_name, chosen, active=new.active))
            for address, (_, new, chosen) in free.items()
        ]
        added = await accounts.add_all(conn, people, self.organisation.id)
        groups = {account.id: free[account.address][1].groups for account in added}
        await grants.give_new(conn, OPERATOR, self.organisation.id, groups)
        for account in added:
            chosen = free[account.address][2]
            self._note(account.address, None if chosen is None else chosen[1])
        return [account.address for account in added]

    def _again(self, address: Address, key: UserNameKey | None) -> str | None:
        """Say which of them stood in the file before."""
        if address in self._addresses:
            return "address_taken"
        return "user_name_taken" if key is not None and key in self._user_names else None

    async def _add(self, conn: Connection, line: Line, new: NewUser, chosen: tuple[str, UserNameKey] | None) -> Result:
        key = None if chosen is None else chosen[1]
        person = Person(new.full_name, chosen, self.organisation.id, active=new.active)
        try:
            account = await accounts.add(conn, new.address, new.language, person)
        except (AddressTaken, UserNameTaken) as taken:
            if await imports_store.is_here(conn, self.organisation.id, new.address, key):
                self._note(new.address, key)
                return Result(line.number, Outcome.PRESENT)
            reason = "address_taken" if isinstance(taken, AddressTaken) else "user_name_taken"
            return await self._keep(conn, line, new, chosen, reason)
        for group in new.groups:
            await grants.give(conn, OPERATOR, account.id, self.organisation.id, group)
        self._note(new.address, key)
        return Result(line.number, Outcome.ADDED)

    def _note(self, address: Address, key: UserNameKey | None) -> None:
        self._addresses.add(address)
        if key is not None:
            self._user_names.add(key)

    def _read(self, line: Line) -> tuple[NewUser, tuple[str, UserNameKey] | None]:
        """Read a line; raises what is wrong with it, so that nothing is half done."""
        if line.fault is not None:
            raise ValueError(line.fault)
        fields = {name: line.fields.get(name, "").strip() for name in COLUMNS}
        address = normalise(fields["address"])
        active = fields["active"].casefold()
        if active not in YES | NO:
            raise ValueError("active must be yes or no")
        groups = tuple(dict.fromkeys(fields["groups"].split()))
        for group in groups:
            self._require(group)
        new = NewUser(
            address,
            accounts.language_of(fields["language"] or self.language),
            fields["user_name"] or None,
            names.read_name(fields["full_name"]) if fields["full_name"] else None,
            active in YES,
            groups,
        )
        return new, user_names.choose(new.user_name, address)

    def _require(self, group: str) -> None:
        if group not in BY_NAME:
            raise NoSuchGroup
        if Grantor.OPERATOR not in BY_NAME[group].granted_by:
            raise NotYoursToGrant
        if BY_NAME[group].kind is not self.organisation.kind:
            raise WrongKindOfOrganisation

    async def _keep(
        self, conn: Connection, line: Line, new: NewUser, chosen: tuple[str, UserNameKey] | None, reason: str
    ) -> Result:
        shown, key = chosen or (None, None)
        duplicate_id = await imports_store.keep_duplicate(
            conn,
            self.organisation.id,
            reason,
            user_name=shown,
            user_name_key=key,
            address=new.address,
            full_name=new.full_name,
            language=new.language,
            active=new.active,
            groups=new.groups,
        )
        return Result(line.number, Outcome.DUPLICATE, reason, duplicate_id)


def read_lines(file: TextIO) -> Iterator[Line]:
    """Read a file with a header line and fields between semicolons or commas; raises `UnreadableFile` for its header."""
    header = file.readline()
    separator = ";" if header.count(";") >= header.count(",") else ","
    columns = [name.strip().casefold() for name in next(csv.reader([header], delimiter=separator), [])]
    if "address" not in columns or len(set(columns)) < len(columns) or not set(columns) <= set(COLUMNS):
        raise UnreadableFile(columns=", ".join(COLUMNS))
    return _lines(csv.reader(file, delimiter=separator), columns)


def _lines(reader: Iterable[Sequence[str]], columns: Sequence[str]) -> Iterator[Line]:
    rows, number = iter(reader), 1
    while True:
        number += 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Line(number, {}, f"cannot be read: {error}")
            continue
        if row is None:
            return
        if row:
            fault = MANY_FIELDS if len(row) > len(columns) else None
            yield Line(number, dict(zip(columns, row, strict=False)), fault)


async def page(conn: Connection, organisation_id: UUID, *, after: UUID, limit: int) -> Sequence[Duplicate]:
    """Give the duplicates behind an id that wait to be cleared up."""
    return await imports_store.find_duplicates(conn, organisation_id, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to stand instead; None leaves it as it was imported."""

    address: Address | None = None
    user_name: str | None = None


async def drop(conn: Connection, giver: Giver, organisation_id: UUID, duplicate_id: UUID) -> None:
    """Forget an imported person who is somebody else; raises `NoSuchDuplicate`."""
    await grants.refuse_support(conn, giver.account_id)
    if await imports_store.take_duplicate(conn, organisation_id, duplicate_id) is None:
        raise NoSuchDuplicate
    log.info("import_duplicate_dropped", duplicate_id=str(duplicate_id))


async def resolve(
    conn: Connection, giver: Giver, organisation_id: UUID, duplicate_id: UUID, correction: Correction
) -> User:
    """Make the imported person a user, corrected (L19); raises `NoSuchDuplicate`, and what `users.add` does."""
    await grants.refuse_support(conn, giver.account_id)
    kept = await imports_store.take_duplicate(conn, organisation_id, duplicate_id)
    if kept is None:
        raise NoSuchDuplicate
    new = NewUser(
        kept.address,
        kept.language,
        kept.user_name,
        None if kept.full_name is None else FullName(kept.full_name),
        kept.active,
        kept.groups,
    )
    corrected = replace(new, address=correction.address or new.address, user_name=correction.user_name or new.user_name)
    user = await users.add(conn, giver, organisation_id, corrected)
    log.info("import_duplicate_resolved", duplicate_id=str(duplicate_id), account_id=str(user.id))
    return user
