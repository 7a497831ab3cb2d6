"""SQL of terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands to terms: `version` is the one in force, None where none was published yet."""

    name: str
    version: str | None
    accepted: str | None
    """The newest version that they have accepted and that still suffices."""
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Text:
    """A text in one language; `consent` stands beside the tick."""

    name: str
    version: str
    language: str
    text: str
    consent: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Published:
    """A text as operators see it."""

    name: str
    version: str
    language: str
    asks_again: bool
    in_force: bool
    published_at: datetime


# A version suffices if none that was published after it asks again.
SELECT_STANDINGS = """
select wanted.name,
    (select version from terms_versions v where v.name = wanted.name order by number desc limit 1),
    accepted.version, accepted.accepted_at
from unnest($2::text[]) as wanted (name)
left join lateral (
    select a.version, a.accepted_at from terms_acceptances a join terms_versions v using (name, version)
    where a.account_id = $1 and a.name = wanted.name and v.number >= coalesce(
        (select max(number) from terms_versions asking where asking.name = wanted.name and asking.asks_again), 0)
    order by v.number desc limit 1) accepted on true
order by wanted.name"""


async def find_standings(conn: Connection, account_id: UUID, names: Sequence[str]) -> list[Standing]:
    """Say how an account stands to each of the terms, by name."""
    return [Standing(*row) for row in await conn.fetch(SELECT_STANDINGS, account_id, names)]


SELECT_TEXTS_IN_FORCE = """
select name, version, language, text, consent, published_at from terms_texts
where name = $1 and version = (select version from terms_versions where name = $1 order by number desc limit 1)
order by language"""


async def find_texts_in_force(conn: Connection, name: str) -> list[Text]:
    """Give the texts of the version in force, in every language that it was published in."""
    return [Text(*row) for row in await conn.fetch(SELECT_TEXTS_IN_FORCE, name)]


# The version is compared within the statement: one that is published at the same moment is in force, or is not.
INSERT_ACCEPTANCE = """
insert into terms_acceptances (account_id, name, version)
select $1, name, version from (
    select name, version from terms_versions where name = $2 order by number desc limit 1) in_force
where version = $3
on conflict on constraint terms_acceptances_pk do nothing"""

SELECT_ACCEPTED_AT = """
select a.accepted_at from terms_acceptances a
where a.account_id = $1 and a.name = $2 and a.version = $3
  and a.version = (select version from terms_versions where name = $2 order by number desc limit 1)"""


async def insert_acceptance(conn: Connection, account_id: UUID, name: str, version: str) -> datetime | None:
    """Note that the version in force is accepted, once; gives when it was, None where another version is in force."""
    await conn.execute(INSERT_ACCEPTANCE, account_id, name, version)
    accepted_at: datetime | None = await conn.fetchval(SELECT_ACCEPTED_AT, account_id, name, version)
    return accepted_at


INSERT_VERSION = """
insert into terms_versions (name, version, asks_again) values ($1, $2, $3)
on conflict on constraint terms_versions_once do nothing"""

SELECT_ASKS_AGAIN = "select asks_again from terms_versions where name = $1 and version = $2"


async def insert_version(conn: Connection, name: str, version: str, *, asks_again: bool) -> bool:
    """Add a version, or find it there; False where it is there and asks differently."""
    await conn.execute(INSERT_VERSION, name, version, asks_again)
    return bool(await conn.fetchval(SELECT_ASKS_AGAIN, name, version)) is asks_again


INSERT_TEXT = """
insert into terms_texts (name, version, language, text, consent) values ($1, $2, $3, $4, $5)
on conflict on constraint terms_texts_pk do nothing returning true"""

SELECT_IS_TEXT = """
select text = $4 and consent = $5 from terms_texts where name = $1 and version = $2 and language = $3"""


async def insert_text(  # noqa: PLR0913 -- one argument a column.
    conn: Connection, name: str, version: str, *, language: str, text: str, consent: str
) -> bool | None:
    """Add a text: True when it is new, False when it was there already, None when another is there."""
    if await conn.fetchval(INSERT_TEXT, name, version, language, text, consent):
        return True
    return False if await conn.fetchval(SELECT_IS_TEXT, name, version, language, text, consent) else None


SELECT_PUBLISHED = """
select v.name, v.version, t.language, v.asks_again,
    v.number = max(v.number) over (partition by v.name), t.published_at
from terms_versions v join terms_texts t using (name, version) order by v.name, v.number desc, t.language"""


async def find_published(conn: Connection) -> list[Published]:
    """Give all that was ever published, the newest of each name first."""
    return [Published(*row) for row in await conn.fetch(SELECT_PUBLISHED)]
