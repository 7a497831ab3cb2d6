"""SQL of log-ins that were begun at a provider, and of the sessions that came of them."""

from dataclasses import dataclass
from uuid import UUID

from chassis.postgres import Connection


@dataclass(frozen=True, slots=True)
class Flow:
    """A log-in that was begun and has come back."""

    id: UUID
    assurance: str
    language: str
    return_to: str


LOCK_SOURCE = "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 2))"

INSERT_FLOW = """
insert into oidc_flows (provider, state_digest, browser_digest, source_digest, assurance, language, return_to)
select $1, $2, $3, $4, $5, $6, $7 where (select count(*) from (
    select from oidc_flows where source_digest = $4 and begun_at > now() - interval '1 hour' limit $8::integer) as begun
) < $8::integer
returning id"""


async def insert_flow(  # noqa: PLR0913 -- one argument a column.
    conn: Connection,
    *,
    provider: str,
    state_digest: bytes,
    browser_digest: bytes,
    source_digest: bytes,
    assurance: str,
    language: str,
    return_to: str,
    most: int,
) -> UUID | None:
    """Note that a log-in is begun; None when so many were from one network address in an hour already."""
    await conn.execute(LOCK_SOURCE, source_digest)
    flow_id: UUID | None = await conn.fetchval(
        INSERT_FLOW, provider, state_digest, browser_digest, source_digest, assurance, language, return_to, most
    )
    return flow_id


USE_FLOW = """
update oidc_flows set used_at = now()
where state_digest = $1 and browser_digest = $2 and provider = $3 and used_at is null and expires_at > now()
returning id, assurance, language, return_to"""


async def use_flow(conn: Connection, state_digest: bytes, browser_digest: bytes, provider: str) -> Flow | None:
    """Use a log-in up, once, in the browser and with the provider that it was begun with; None for one that is no good."""
    row = await conn.fetchrow(USE_FLOW, state_digest, browser_digest, provider)
    return None if row is None else Flow(*row)


INSERT_PROVIDER_SESSION = """
insert into provider_sessions (session_id, provider, issuer, name, token_closed) values ($1, $2, $3, $4, $5)"""


async def insert_provider_session(  # noqa: PLR0913 -- one argument a column.
    conn: Connection, session_id: UUID, *, provider: str, issuer: str, name: str | None, token_closed: str
) -> None:
    await conn.execute(INSERT_PROVIDER_SESSION, session_id, provider, issuer, name, token_closed)


@dataclass(frozen=True, slots=True)
class ProviderSession:
    provider: str
    token_closed: str


SELECT_PROVIDER_SESSION = "select provider, token_closed from provider_sessions where session_id = $1"


async def find_provider_session(conn: Connection, session_id: UUID) -> ProviderSession | None:
    """Find which session of a provider a session came from; None for one that came from none."""
    row = await conn.fetchrow(SELECT_PROVIDER_SESSION, session_id)
    return None if row is None else ProviderSession(*row)


SELECT_SESSIONS_OF_NAME = """
select p.session_id from provider_sessions p join sessions s on s.id = p.session_id
where p.issuer = $1 and p.name = $2 and s.ended_at is null and s.ends_at > now() order by p.session_id"""


async def find_sessions_of(conn: Connection, issuer: str, name: str) -> list[UUID]:
    """Give the sessions here that came from one session of a provider."""
    return [row[0] for row in await conn.fetch(SELECT_SESSIONS_OF_NAME, issuer, name)]


PRUNE_FLOWS = """
delete from oidc_flows where id in (select id from oidc_flows where expires_at < now() - interval '1 hour' limit $1)"""


async def prune(conn: Connection, limit: int) -> int:
    """Delete log-ins that are an hour past their use; gives how many."""
    return int((await conn.execute(PRUNE_FLOWS, limit)).rpartition(" ")[2])
