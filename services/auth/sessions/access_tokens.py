"""Access tokens: a minute's proof for one service of who somebody is, for whom they act and what they may do (sec-A11)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis import tokens
from chassis.postgres import Connection
from chassis.systems import System
from chassis.tokens import Assurance, Claims
from contracts import rights
from services.auth.keys import Chance
from services.auth.sessions import sessions, store
from services.auth.sessions.errors import OrganisationNotAllowed, UnknownAudience
from services.auth.sessions.store import Session
from services.auth.sessions.token_keys import Signer
from services.auth.terms import terms

BROWSER = "browser"
"""The `client_id` of whoever came by a session."""
AUDIENCES = frozenset(group.service for group in rights.GROUPS)
"""The services that take access tokens: those that have rights."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token on its way to whoever asked for it."""

    token: str
    seconds: int
    expires_at: datetime


async def issue(conn: Connection, session: Session, audience: str, *, signer: Signer, chance: Chance) -> AccessToken:
    """Give a token of a session for one service, with the person's rights there at this moment.

    Raises `UnknownAudience`, and `TermsPending` while there are terms that come before the service (U13).
    """
    if audience not in AUDIENCES:
        raise UnknownAudience
    accepted = await terms.accepted(conn, session.account_id, audience)
    acting = await sessions.acting(conn, session)
    claims = Claims(
        issuer=signer.issuer,
        audience=audience,
        subject=str(session.account_id),
        client_id=BROWSER,
        issued_at=session.seen_at,
        expires_at=_end(session, signer.seconds),
        token_id=chance.token(),
        session_id=session.id,
        epoch=session.epoch,
        organisation_id=acting.organisation_id if acting else None,
        rights=rights.rights_of(acting.groups, service=audience) if acting else frozenset(),
        assurance=Assurance(session.assurance),
        terms=accepted,
    )
    return _signed(claims, signer)


async def issue_to_system(  # noqa: PLR0913 -- to whom, for what, and with what it is made.
    conn: Connection, system: System, audience: str, organisation_id: UUID | None, *, signer: Signer, chance: Chance
) -> AccessToken:
    """Give a token of a system for one service, with its configured rights there.

    Raises `UnknownAudience`, and `OrganisationNotAllowed` where it may not act for the organisation, or for all.
    """
    if audience not in AUDIENCES:
        raise UnknownAudience
    if not system.may_act_for(organisation_id):
        raise OrganisationNotAllowed
    now = await store.now(conn)
    claims = Claims(
        issuer=signer.issuer,
        audience=audience,
        subject=f"{tokens.SYSTEM}{system.name}",
        client_id=system.name,
        issued_at=now,
        expires_at=now + timedelta(seconds=signer.seconds),
        token_id=chance.token(),
        organisation_id=organisation_id,
        rights=frozenset(right for right in system.rights if right.partition(".")[0] == audience),
        assurance=Assurance.LOW,
    )
    return _signed(claims, signer)


def _end(session: Session, seconds: int) -> datetime:
    """Say until when a token is good: not past its session's end, which nobody tells of, but for the one second of the least."""
    least, most = (session.seen_at + timedelta(seconds=each) for each in (1, seconds))
    return max(least, min(most, session.ends_at))


def _signed(claims: Claims, signer: Signer) -> AccessToken:
    seconds = int(claims.expires_at.timestamp()) - int(claims.issued_at.timestamp())
    return AccessToken(tokens.sign(claims, signer.key), seconds, claims.expires_at)
