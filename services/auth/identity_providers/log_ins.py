"""Log-ins by a provider: an identity that is linked logs in straight through, any other one waits for its link (I4, I12)."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from chassis.failpoints import reach
from chassis.postgres import Connection
from chassis.texts import Language
from chassis.tokens import Assurance
from services.auth.identities import identities
from services.auth.identities.identities import Proven
from services.auth.identities.vault import NotOurs, Vault
from services.auth.identity_providers import relying_party, store
from services.auth.identity_providers.errors import AccountClosed, LogInOver, TooManyLogIns
from services.auth.identity_providers.id_tokens import Proven as Token
from services.auth.identity_providers.profiles import Provider
from services.auth.identity_providers.relying_party import Attempt
from services.auth.identity_providers.store import Flow
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits, network_of
from services.auth.sessions import sessions
from services.auth.sessions.sessions import Method

log = structlog.get_logger()

HOUR = 3600
TOKEN = "id_token"  # noqa: S105 -- the name of a use. # nosec B105


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a log-in, and where the browser goes afterwards."""

    assurance: Assurance
    language: Language
    return_to: str


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """There is a session: its token."""

    token: str


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The identity is linked to no account yet: the token of its proof."""

    token: str


async def begin(  # noqa: PLR0913 -- which log-in, from where, within which limits.
    conn: Connection, provider: Provider, attempt: Attempt, wanted: Wanted, *, source: str, limits: Limits
) -> UUID:
    """Note that a log-in is begun, for ten minutes in this browser; raises `TooManyLogIns`."""
    keys = attempt.keys
    flow_id = await store.insert_flow(
        conn,
        provider=provider.name,
        state_digest=relying_party.state_digest(keys, attempt.state),
        browser_digest=keys.digest("browser", attempt.browser),
        source_digest=keys.digest("source", network_of(source)),
        assurance=wanted.assurance,
        language=wanted.language,
        return_to=wanted.return_to,
        most=limits.of_source(source),
    )
    if flow_id is None:
        raise TooManyLogIns(retry_after=HOUR)
    return flow_id


async def come_back(conn: Connection, provider: Provider, attempt: Attempt) -> Flow:
    """Use a log-in up that has come back, whatever came of it; raises `LogInOver` alike for all that is no good."""
    keys = attempt.keys
    digest, browser_digest = relying_party.state_digest(keys, attempt.state), keys.digest("browser", attempt.browser)
    flow = await store.use_flow(conn, digest, browser_digest, provider.name)
    if flow is None:
        raise LogInOver("no open log-in of this state, browser and provider")
    reach("providers.came_back")
    return flow


def proven(provider: Provider, token: Token, language: Language) -> Proven:
    """Say who has logged in there, in this system's words."""
    return Proven(
        provider.name,
        token.issuer,
        token.subject,
        token.assurance,
        language,
        None if token.number is None else token.number.digits,
        token.session,
        token.token,
    )


async def complete(  # noqa: PLR0913 -- who, where, and with what the session is made.
    conn: Connection,
    proven: Proven,
    *,
    browser_digest: bytes,
    keys: Keys,
    chance: Chance,
    vault: Vault,
    replacing: str | None,
) -> LoggedIn | Unlinked:
    """Log in whose identity is linked, blocks or not (sec-A8), or keep the proof of one that is not.

    Raises `AccountClosed`.
    """
    found = await identities.find(conn, proven)
    if found is None:
        return Unlinked(await identities.keep_proof(conn, proven, keys=keys, chance=chance, vault=vault))
    if not found.may_log_in:
        raise AccountClosed("the account is not active")
    token = await start(
        conn,
        found.account_id,
        proven,
        browser_digest=browser_digest,
        keys=keys,
        chance=chance,
        vault=vault,
        replacing=replacing,
    )
    return LoggedIn(token)


async def start(  # noqa: PLR0913 -- as above.
    conn: Connection,
    account_id: UUID,
    proven: Proven,
    *,
    browser_digest: bytes,
    keys: Keys,
    chance: Chance,
    vault: Vault,
    replacing: str | None,
) -> str:
    """Log an account in as surely as its identity was proven, and note of which session there the new one is."""
    token = await sessions.start(
        conn,
        account_id,
        browser_digest=browser_digest,
        keys=keys,
        chance=chance,
        method=Method.PROVIDER,
        assurance=proven.assurance,
        replacing=replacing,
    )
    session = await sessions.current(conn, token, keys=keys)
    await store.insert_provider_session(
        conn,
        session.id,
        provider=proven.provider,
        issuer=proven.issuer,
        name=proven.session_name,
        token_closed=vault.close(TOKEN, session.id, proven.token),
    )
    reach("providers.logged_in")
    return token


async def end_named(conn: Connection, provider: Provider, name: str) -> int:
    """End the sessions that came from a session of a provider that has ended; gives how many."""
    found = await store.find_sessions_of(conn, provider.issuer, name)
    for session_id in found:
        await sessions.end_elsewhere(conn, session_id)
    return len(found)


async def hint_of(conn: Connection, session_id: UUID, vault: Vault) -> tuple[str, str] | None:
    """Give the provider that a session came from, and the ID token to show it; None for one that came from none."""
    found = await store.find_provider_session(conn, session_id)
    if found is None:
        return None
    try:
        return found.provider, vault.open(TOKEN, session_id, found.token_closed)
    except NotOurs as error:
        log.warning("id_token_not_opened", session_id=str(session_id), error=str(error))
        return None
