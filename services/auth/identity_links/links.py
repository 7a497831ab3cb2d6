"""Links: the address that a code has proven finds an account or makes one, and the identity becomes its own (I9, I20)."""

import re
from uuid import UUID

import structlog

from chassis.failpoints import reach
from chassis.postgres import Connection
from chassis.texts import Language
from chassis.tokens import Assurance
from services.auth.codes import attempts
from services.auth.codes.attempts import Attempt
from services.auth.codes.errors import WrongCode
from services.auth.identities import identities
from services.auth.identities import store as identity_store
from services.auth.identities.identities import Proven
from services.auth.identities.store import NewProof
from services.auth.identities.vault import Vault
from services.auth.identity_links import store
from services.auth.identity_links.errors import NoSuchLink, NothingToLink, WrongMobile
from services.auth.identity_providers import log_ins
from services.auth.keys import Chance, Keys
from services.auth.people import accounts, security
from services.auth.people import store as people
from services.auth.people.addresses import Address
from services.auth.people.store import Account, Person
from services.auth.people.user_names import Login

log = structlog.get_logger()

_MOBILE = re.compile(r"\+[1-9][0-9]{6,14}")


async def pending(conn: Connection, token: str | None, *, keys: Keys) -> NewProof:
    """Find the identity that this browser has proven and not linked yet; raises `NothingToLink`."""
    found = None if token is None else await identity_store.find_proof(conn, identities.proof_digest(keys, token))
    if found is None:
        raise NothingToLink
    return found


async def link(  # noqa: PLR0913 -- what is linked, and with what the session is made.
    conn: Connection,
    attempt: Attempt,
    code: str,
    token: str,
    *,
    keys: Keys,
    chance: Chance,
    vault: Vault,
    replacing: str | None,
) -> str:
    """Link the identity that this browser has proven to whoever has the address that the code went to, and log them in.

    All that the account was logged in with before ends: nobody who was in it, or prepared it, stays (sec-A15). Raises
    `NothingToLink`, `WrongCode` for whatever is no good, `IdentityTaken`, after which the transaction is good for nothing.
    """
    digest = identities.proof_digest(keys, token)
    proof = await pending(conn, token, keys=keys)
    address = await attempts.use_to_link(conn, attempt, code, proof.id, keys=keys)
    used = await identity_store.use_proof(conn, proof.id, digest)
    if used is None:
        raise NothingToLink
    account = await _whose(conn, address, Language(used.language))
    await identity_store.insert_identity(conn, account.id, used)
    await security.void_tokens(conn, account.id)
    reach("links.linked")
    log.info("identity_linked", account_id=str(account.id), identity_id=str(used.id), provider=used.provider)
    proven = Proven(
        used.provider,
        used.issuer,
        used.subject,
        Assurance(used.assurance),
        Language(used.language),
        None,
        used.session_name,
        vault.open(identities.TOKEN, used.id, used.token_closed),
    )
    return await log_ins.start(
        conn,
        account.id,
        proven,
        browser_digest=attempt.browser_digest,
        keys=keys,
        chance=chance,
        vault=vault,
        replacing=replacing,
    )


async def _whose(conn: Connection, address: Address, language: Language) -> Account:
    """Find who has an address, or make an account for it: at home where its domain is an organisation's, without rights (I8)."""
    account = await people.lock_account_by_login(conn, Login(address))
    if account is None:
        home = await store.find_home(conn, address)
        return await accounts.add(conn, address, language, Person(organisation_id=home))
    if not account.active:
        raise WrongCode
    return account


async def unlink(conn: Connection, identity_id: UUID, account_id: UUID, *, session_id: UUID) -> None:
    """Free an identity of an account, and end its other sessions (I13, I20); raises `NoSuchLink`, alike for another's."""
    await people.lock_account(conn, account_id)
    if not await identity_store.delete_identity(conn, identity_id, account_id):
        raise NoSuchLink
    await security.void_tokens(conn, account_id, except_session=session_id)
    reach("links.unlinked")
    log.info("identity_unlinked", account_id=str(account_id), identity_id=str(identity_id))


def read_mobile(text: str) -> str:
    """Read a mobile number, with or without spaces; eight digits alone are Norwegian. Raises `WrongMobile`."""
    digits = "".join(text.split())
    number = f"+47{digits}" if re.fullmatch("[49][0-9]{7}", digits) else digits
    if not _MOBILE.fullmatch(number):
        raise WrongMobile
    return number
