"""Challenges: what anybody may ask for, and what a worker then issues to members only: a code, a link, a reminder."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

import structlog

from chassis import outbox, tracing
from chassis.failpoints import reach
from chassis.postgres import Connection
from chassis.texts import Language
from contracts.auth import (
    LinkCodeRequested,
    OtpRequested,
    OtpRequestedV2,
    PasswordInstructionsRequested,
    UserNameRequested,
)
from contracts.auth import Purpose as Released
from contracts.message import Message
from contracts.privacy import Sealed
from services.auth import telemetry
from services.auth.codes import store
from services.auth.codes.purposes import Purpose
from services.auth.codes.store import Ask, Challenge
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits, network_of
from services.auth.passwords import blocks
from services.auth.people import store as people
from services.auth.people.store import Account
from services.auth.people.user_names import Login

log = structlog.get_logger()

ASKED_BELL = "codes_asked"
MAIL_MINUTES = 30
"""How long a link is good, and a reminder worth sending."""


@dataclass(frozen=True, slots=True)
class Linking:
    """What a code links: the identity of one proof; and the language that its mail is in."""

    proof_id: UUID
    language: Language


async def ask(  # noqa: PLR0913 -- who asks for what, from where, and with what it is made.
    conn: Connection,
    login: Login,
    purpose: Purpose,
    *,
    browser: str,
    source: str,
    limits: Limits,
    keys: Keys,
    chance: Chance,
    linking: Linking | None = None,
) -> Challenge:
    """Note what is wanted. Whose login it is, is looked up after the answer: not even time tells (sec-A9)."""
    challenge = await store.insert_challenge(
        conn,
        login,
        purpose=purpose,
        login_digest=keys.digest("address", login),
        browser_digest=keys.digest("browser", browser),
        source_digest=keys.digest("source", network_of(source)),
        source_limit=limits.of_source(source),
        reference=chance.reference(),
        minutes=limits.code_minutes if purpose.has_code else MAIL_MINUTES,
        traceparent=tracing.traceparent(),
        proof_id=linking.proof_id if linking else None,
        language=linking.language if linking else None,
    )
    conn.context.rings.add(ASKED_BELL)
    reach("codes.asked")
    return challenge


async def settle_next(conn: Connection, *, limits: Limits, keys: Keys, chance: Chance) -> bool:
    """Settle the oldest challenge: owe the mail that it asks for (G1), or find that none is due. False when none waits.

    None for a stranger or an inactive account, beyond an address's or a source's limit (sec-A4), while it is blocked (L9),
    or too late.
    """
    wanted = await store.claim_ask(conn)
    if wanted is None:
        return False
    with tracing.resumed("issue code", wanted.traceparent, {"samband.challenge_id": str(wanted.id)}):
        await _settle(conn, wanted, limits=limits, keys=keys, chance=chance)
    return True


async def _settle(conn: Connection, wanted: Ask, *, limits: Limits, keys: Keys, chance: Chance) -> None:
    account = await people.lock_account_by_login(conn, wanted.login)
    if wanted.purpose is Purpose.LINK:
        await _settle_link(conn, wanted, account, limits=limits, keys=keys, chance=chance)
        return
    why_not = await _why_not(conn, wanted, account, limits, keys)
    telemetry.CODES.labels(purpose=wanted.purpose.value, outcome=why_not or "issued").inc()
    if why_not is not None or account is None:
        await store.settle_ask(conn, wanted.id, None, None)
        log.info("code_not_issued", challenge_id=str(wanted.id), purpose=wanted.purpose.value, reason=why_not)
        return
    digest, message = await _issued(conn, wanted, account, keys, chance)
    await store.settle_ask(conn, wanted.id, account.id, digest)
    await outbox.add(conn, message)
    reach("codes.issued")
    log.info("code_issued", challenge_id=str(wanted.id), purpose=wanted.purpose.value, account_id=str(account.id))


async def _settle_link(  # noqa: PLR0913 -- what is wanted by whom, and with what it is made.
    conn: Connection, wanted: Ask, account: Account | None, *, limits: Limits, keys: Keys, chance: Chance
) -> None:
    """Mail a code to whoever has the address, account or not: one is made when the code has shown whose it is (I9)."""
    why_not = await _why_no_link(conn, wanted, account, limits, keys)
    telemetry.CODES.labels(purpose=wanted.purpose.value, outcome=why_not or "issued").inc()
    if why_not is not None:
        await store.settle_ask(conn, wanted.id, None, None)
        log.info("code_not_issued", challenge_id=str(wanted.id), purpose=wanted.purpose.value, reason=why_not)
        return
    code = chance.code()
    sealed: tuple[Sealed[Any], ...] = (Sealed(wanted.login), Sealed(wanted.language or Language.NB), Sealed(code))
    address, language, sealed_code = sealed
    await store.settle_ask(conn, wanted.id, account.id if account else None, code_digest(keys, wanted.id, code))
    await outbox.add(
        conn,
        LinkCodeRequested(
            challenge_id=wanted.id,
            address=address,
            language=language,
            reference=wanted.reference,
            code=sealed_code,
            **_times(wanted),
        ),
    )
    reach("codes.issued")
    log.info("code_issued", challenge_id=str(wanted.id), purpose=wanted.purpose.value)


async def _why_no_link(
    conn: Connection, wanted: Ask, account: Account | None, limits: Limits, keys: Keys
) -> str | None:
    if account is not None:
        return await _why_not(conn, wanted, account, limits, keys) or await _why_no_more(conn, wanted, limits, keys)
    if not wanted.alive:
        return "expired"
    if await store.count_from_source(conn, wanted) > wanted.source_limit:
        return "too_many_from_the_source"
    return await _why_no_more(conn, wanted, limits, keys)


async def _why_no_more(conn: Connection, wanted: Ask, limits: Limits, keys: Keys) -> str | None:
    count = await store.count_links_to(conn, keys.digest("address", wanted.login))
    return "too_many_to_the_address" if count >= limits.codes_per_quarter else None


async def _why_not(  # noqa: PLR0911 -- a reason each.
    conn: Connection, wanted: Ask, account: Account | None, limits: Limits, keys: Keys
) -> str | None:
    if account is None:
        return "unknown_address"
    if not account.active:
        return "inactive"
    if not wanted.alive:
        return "expired"
    if _respects_blocks(wanted.purpose, limits) and await blocks.holds(
        conn, account.id, wanted.browser_digest, keys=keys
    ):
        return "blocked"
    if await store.count_issued(conn, account.id, wanted.browser_digest) >= limits.codes_per_quarter:
        return "too_many_to_the_address"
    if await store.count_from_source(conn, wanted) > wanted.source_limit:
        return "too_many_from_the_source"
    return None


def _respects_blocks(purpose: Purpose, limits: Limits) -> bool:
    """Tell whether a block keeps this from being mailed: a reminder of a user name opens nothing."""
    return purpose is not Purpose.USER_NAME and not (purpose.sets_password and limits.reset_lifts_block)


async def _issued(
    conn: Connection, wanted: Ask, account: Account, keys: Keys, chance: Chance
) -> tuple[bytes | None, Message]:
    """Make what is mailed, and the digest by which it is known again."""
    match wanted.purpose:
        case Purpose.USER_NAME:
            name: Sealed[Any] = Sealed(await people.get_user_name(conn, account.id))
            reminder = UserNameRequested(
                **_addressed(wanted, account), user_name=name, asked_at=wanted.asked_at, expires_at=wanted.expires_at
            )
            return None, reminder
        case Purpose.PASSWORD_INSTRUCTIONS:
            token = chance.token()
            link: Sealed[Any] = Sealed(token)
            instructions = PasswordInstructionsRequested(**_addressed(wanted, account), token=link, **_times(wanted))
            return link_digest(keys, token), instructions
        case Purpose.LOGIN | Purpose.ACTIVATION | Purpose.PASSWORD_RESET | Purpose.UNLINK | Purpose.LINK:
            code = chance.code()
            return code_digest(keys, wanted.id, code), _code_requested(wanted, account, code)


def _code_requested(wanted: Ask, account: Account, code: str) -> OtpRequested | OtpRequestedV2:
    sealed: Sealed[Any] = Sealed(code)
    said, times = _addressed(wanted, account), _times(wanted)
    if wanted.purpose is Purpose.LOGIN:
        return OtpRequested(**said, purpose=Released.LOGIN, reference=wanted.reference, code=sealed, **times)
    return OtpRequestedV2(**said, purpose=wanted.purpose.value, reference=wanted.reference, code=sealed, **times)


class _Addressed(TypedDict):
    challenge_id: UUID
    account_id: UUID
    account_epoch: int
    account_version: int


class _Times(TypedDict):
    issued_at: datetime
    expires_at: datetime


def _addressed(wanted: Ask, account: Account) -> _Addressed:
    """Say for which state of the account it is: it never goes to an address that was replaced."""
    return _Addressed(
        challenge_id=wanted.id,
        account_id=account.id,
        account_epoch=account.epoch,
        account_version=account.version,
    )


def _times(wanted: Ask) -> _Times:
    return _Times(issued_at=wanted.asked_at, expires_at=wanted.expires_at)


def code_digest(keys: Keys, challenge_id: UUID, code: str) -> bytes:
    """Digest a code, which is worth nothing with another challenge."""
    return keys.digest("code", str(challenge_id), code)


def link_digest(keys: Keys, token: str) -> bytes:
    """Digest the token of a link."""
    return keys.digest("link", token)
