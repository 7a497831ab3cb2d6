"""SQL of links: where a new person is at home, and what their own page shows."""

from dataclasses import dataclass
from uuid import UUID

from chassis.postgres import Connection
from services.auth.people.addresses import Address

SELECT_HOME = """
select d.organisation_id from organisation_domains d join organisations o on o.id = d.organisation_id
where d.domain = split_part($1, '@', 2) and o.active and o.kind = 'customer'"""


async def find_home(conn: Connection, address: Address) -> UUID | None:
    """Find the organisation whose employees have addresses of this domain; None for everybody else."""
    organisation_id: UUID | None = await conn.fetchval(SELECT_HOME, address)
    return organisation_id


UPSERT_DOMAIN = """
insert into organisation_domains (domain, organisation_id) values ($1, $2)
on conflict on constraint organisation_domains_pk do update set organisation_id = excluded.organisation_id"""


async def replace_domain(conn: Connection, domain: str, organisation_id: UUID) -> None:
    """Let a domain be that of an organisation's employees, and of no other one's."""
    await conn.execute(UPSERT_DOMAIN, domain, organisation_id)


SELECT_DOMAINS = "select domain, organisation_id from organisation_domains order by domain"


async def find_domains(conn: Connection) -> list[tuple[str, UUID]]:
    return [(row[0], row[1]) for row in await conn.fetch(SELECT_DOMAINS)]


@dataclass(frozen=True, slots=True)
class Page:
    """What an account's own page shows of it."""

    address: Address
    full_name: str | None
    country: str
    language: str
    mobile: str | None
    has_password: bool


SELECT_PAGE = """
select a.address, a.full_name, a.country, a.language, a.mobile, exists (select from passwords p where p.account_id = a.id)
from accounts a where a.id = $1"""


async def find_page(conn: Connection, account_id: UUID) -> Page | None:
    row = await conn.fetchrow(SELECT_PAGE, account_id)
    return None if row is None else Page(*row)


UPDATE_MOBILE = "update accounts set mobile = $2 where id = $1"


async def replace_mobile(conn: Connection, account_id: UUID, mobile: str | None) -> None:
    await conn.execute(UPDATE_MOBILE, account_id, mobile)
