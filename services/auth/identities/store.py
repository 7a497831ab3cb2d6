"""SQL of identities, and of those that are proven and linked to no account yet."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from chassis.postgres import Connection
from services.auth.identities.errors import IdentityTaken


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity that is linked."""

    id: UUID
    account_id: UUID
    provider: str
    activated_at: datetime
    may_log_in: bool
    """Its account is active."""


# An identity that was seen is noted, and its account kept from changing, in one statement.
TOUCH_IDENTITY = """
update identities i set seen_at = now() from accounts a
where i.issuer = $1 and i.subject = $2 and a.id = i.account_id
returning i.id, i.account_id, i.provider, i.activated_at, a.active"""


async def touch_identity(conn: Connection, issuer: str, subject: str) -> Identity | None:
    """Find an identity that logs in, and note that it did; None for one that is linked to no account."""
    row = await conn.fetchrow(TOUCH_IDENTITY, issuer, subject)
    return None if row is None else Identity(*row)


SELECT_IDENTITIES = """
select i.id, i.account_id, i.provider, i.activated_at, a.active from identities i join accounts a on a.id = i.account_id
where i.account_id = $1 order by i.activated_at, i.id"""


async def find_identities(conn: Connection, account_id: UUID) -> list[Identity]:
    return [Identity(*row) for row in await conn.fetch(SELECT_IDENTITIES, account_id)]


@dataclass(frozen=True, slots=True)
class NewProof:
    """What a provider has proven, as it is kept: what is secret of it encrypted."""

    id: UUID
    provider: str
    issuer: str
    subject: str
    assurance: str
    language: str
    session_name: str | None
    number_closed: str | None
    number_digest: bytes | None
    token_closed: str


INSERT_PROOF = """
insert into identity_proofs (id, token_digest, provider, issuer, subject, assurance, language, session_name, number_closed,
    number_digest, token_closed)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"""


async def insert_proof(conn: Connection, token_digest: bytes, proof: NewProof) -> None:
    """Keep what was proven for 15 minutes, for whoever has the token."""
    await conn.execute(
        INSERT_PROOF,
        proof.id,
        token_digest,
        proof.provider,
        proof.issuer,
        proof.subject,
        proof.assurance,
        proof.language,
        proof.session_name,
        proof.number_closed,
        proof.number_digest,
        proof.token_closed,
    )


SELECT_PROOF = """
select id, provider, issuer, subject, assurance, language, session_name, number_closed, number_digest, token_closed
from identity_proofs where token_digest = $1 and used_at is null and expires_at > now()"""


async def find_proof(conn: Connection, token_digest: bytes) -> NewProof | None:
    """Find what a browser has proven and not linked yet."""
    row = await conn.fetchrow(SELECT_PROOF, token_digest)
    return None if row is None else NewProof(*row)


USE_PROOF = """
update identity_proofs set used_at = now()
where id = $1 and token_digest = $2 and used_at is null and expires_at > now()
returning id, provider, issuer, subject, assurance, language, session_name, number_closed, number_digest, token_closed"""


async def use_proof(conn: Connection, proof_id: UUID, token_digest: bytes) -> NewProof | None:
    """Use a proof up, once, whoever brings it at the same time; None for one that is no good."""
    row = await conn.fetchrow(USE_PROOF, proof_id, token_digest)
    return None if row is None else NewProof(*row)


# The number belongs to one account, whoever links it at the same time; the foreign key of the identity asks for it.
INSERT_NUMBER = """
insert into national_numbers (number_digest, account_id) values ($1, $2)
on conflict on constraint national_numbers_pk do nothing"""

INSERT_IDENTITY = """
insert into identities (id, account_id, provider, issuer, subject, number_closed, number_digest)
values ($1, $2, $3, $4, $5, $6, $7)
returning activated_at"""


async def insert_identity(conn: Connection, account_id: UUID, proof: NewProof) -> datetime:
    """Link an identity to an account; raises `IdentityTaken` where it, or its person, is linked to another one.

    The transaction is then good for nothing more.
    """
    if proof.number_digest is not None:
        await conn.execute(INSERT_NUMBER, proof.number_digest, account_id)
    values = (proof.provider, proof.issuer, proof.subject, proof.number_closed, proof.number_digest)
    try:
        moment: datetime = await conn.fetchval(INSERT_IDENTITY, proof.id, account_id, *values)
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError):
        raise IdentityTaken from None
    return moment


DELETE_IDENTITY = "delete from identities where id = $1 and account_id = $2 returning number_digest"

# One that another identity of the account still needs stays.
DELETE_NUMBER = """
delete from national_numbers n where n.number_digest = $1
  and not exists (select from identities i where i.number_digest = n.number_digest)"""


async def delete_identity(conn: Connection, identity_id: UUID, account_id: UUID) -> bool:
    """Free an identity of this account; False for another's, and for one that is free already."""
    row = await conn.fetchrow(DELETE_IDENTITY, identity_id, account_id)
    if row is None:
        return False
    if row[0] is not None:
        await conn.execute(DELETE_NUMBER, row[0])
    return True


PRUNE_PROOFS = """
delete from identity_proofs where id in (
    select id from identity_proofs where expires_at < now() - interval '1 hour' limit $1)"""


async def prune(conn: Connection, limit: int) -> int:
    """Delete proofs that are an hour past their use; gives how many."""
    return int((await conn.execute(PRUNE_PROOFS, limit)).rpartition(" ")[2])
