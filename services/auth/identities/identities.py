"""Identities: kept encrypted, looked up by keyed digests, and known by issuer and subject, never by an address (sec-A14)."""

from dataclasses import dataclass, field
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from chassis.postgres import Connection
from chassis.texts import Language
from chassis.tokens import Assurance
from services.auth.identities import store
from services.auth.identities.store import Identity, NewProof
from services.auth.identities.vault import Vault
from services.auth.keys import Chance, Keys

log = structlog.get_logger()

NUMBER, TOKEN = "number", "id_token"


@dataclass(frozen=True, slots=True)
class Proven:
    """Who has logged in at a provider; `subject` means something together with `issuer` alone."""

    provider: str
    issuer: str
    subject: str = field(repr=False)
    assurance: Assurance
    language: Language
    number: str | None = field(repr=False)
    session_name: str | None
    """The provider's own name of its session."""
    token: str = field(repr=False)
    """The ID token, which log-out shows to the provider."""


async def find(conn: Connection, proven: Proven) -> Identity | None:
    """Find the identity of somebody who has logged in, and note that they did; None for one that is linked to nobody."""
    return await store.touch_identity(conn, proven.issuer, proven.subject)


async def keep_proof(conn: Connection, proven: Proven, *, keys: Keys, chance: Chance, vault: Vault) -> str:
    """Keep what was proven until it is linked, for 15 minutes; gives the token by which its browser is known again."""
    token, proof_id = chance.token(), uuid7()
    number = proven.number
    proof = NewProof(
        proof_id,
        proven.provider,
        proven.issuer,
        proven.subject,
        proven.assurance.value,
        proven.language.value,
        proven.session_name,
        None if number is None else vault.close(NUMBER, proof_id, number),
        None if number is None else number_digest(keys, number),
        vault.close(TOKEN, proof_id, proven.token),
    )
    await store.insert_proof(conn, proof_digest(keys, token), proof)
    log.info("identity_proven", provider=proven.provider, proof_id=str(proof_id))
    return token


def number_of(vault: Vault, identity_id: UUID, closed: str) -> str:
    """Give an identity number in the clear: for its own person's export alone. Raises `NotOurs`."""
    return vault.open(NUMBER, identity_id, closed)


def number_digest(keys: Keys, number: str) -> bytes:
    """Digest an identity number, by which its person is found whichever provider tells of them."""
    return keys.digest("identity-number", number)


def proof_digest(keys: Keys, token: str) -> bytes:
    """Digest the token of a proof."""
    return keys.digest("identity-proof", token)
