"""Terms: accepted once, by a person, in the version that they have read (U10-U14)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import structlog

from chassis.failpoints import reach
from chassis.postgres import Connection
from chassis.texts import Language
from contracts import rights
from services.auth.terms import store
from services.auth.terms.errors import (
    NoSuchTerms,
    NotTicked,
    PublishedTextChanged,
    TermsChanged,
    TermsPending,
    UnionUnnamed,
    UnreadableTerms,
)
from services.auth.terms.store import Standing, Text

log = structlog.get_logger()

WHERE = "/v1/terms"
TICK = "[ ] "
UNION = "{union}"
NAMES = frozenset(terms.name for terms in rights.TERMS)
LANGUAGES = tuple(str(language) for language in Language)


async def accepted(conn: Connection, account_id: UUID, service: str) -> Mapping[str, str]:
    """Give the versions that a person has accepted of the terms that come before a service, by name.

    Raises `TermsPending` where one is not accepted, or not published yet: nothing is reachable before it is (U13).
    """
    standings = await store.find_standings(conn, account_id, rights.terms_of(service))
    if missing := [each.name for each in standings if each.accepted is None]:
        raise TermsPending(terms=", ".join(missing), where=WHERE)
    return {each.name: str(each.accepted) for each in standings}


async def standings(conn: Connection, account_id: UUID, services: Iterable[str]) -> list[Standing]:
    """Say how a person stands to all terms that come before these services."""
    return await store.find_standings(
        conn, account_id, sorted({name for service in services for name in rights.terms_of(service)})
    )


async def text(conn: Connection, name: str, language: Language) -> Text:
    """Give the text in force, in this language or in the first of Bokmål, Nynorsk and English; raises `NoSuchTerms`."""
    found = {each.language: each for each in await store.find_texts_in_force(conn, name)}
    for wanted in (str(language), *LANGUAGES):
        if wanted in found:
            return found[wanted]
    raise NoSuchTerms


async def accept(conn: Connection, account_id: UUID, name: str, version: str, *, ticked: bool) -> datetime:
    """Note that a person accepts the version in force, and give when they first did (U14).

    Raises `NotTicked` for "Ok" without the tick, which does nothing (U12, U13), `NoSuchTerms`, and `TermsChanged` for
    another version than the one in force.
    """
    if name not in NAMES:
        raise NoSuchTerms
    if not ticked:
        raise NotTicked
    accepted_at = await store.insert_acceptance(conn, account_id, name, version)
    if accepted_at is None:
        raise TermsChanged
    reach("terms.accepted")
    log.info("terms_accepted", account_id=str(account_id), terms=name, version=version)
    return accepted_at


async def publish(  # noqa: PLR0913 -- what is published, each by its name.
    conn: Connection, name: str, version: str, *, language: Language, file: str, union: str | None, asks_again: bool
) -> bool:
    """Publish a text in one language; from now on this version is in force. False when it was there already.

    `file` is the text, with the name of the union as `{union}`, and as its last line `[ ] ` and what stands beside the
    tick. Raises `NoSuchTerms` for a name that contracts do not have, `UnreadableTerms`, `UnionUnnamed`, and
    `PublishedTextChanged`.
    """
    if name not in NAMES:
        raise NoSuchTerms
    said, _, tick = file.strip().rpartition("\n")
    if not said.strip() or not tick.startswith(TICK) or not tick.removeprefix(TICK).strip() or "\0" in file:
        raise UnreadableTerms
    if UNION in file and not union:
        raise UnionUnnamed
    said, consent = (part.strip().replace(UNION, union or "") for part in (said, tick.removeprefix(TICK)))
    if not await store.insert_version(conn, name, version, asks_again=asks_again):
        raise PublishedTextChanged
    added = await store.insert_text(conn, name, version, language=language, text=said, consent=consent)
    if added is None:
        raise PublishedTextChanged
    if added:
        log.info("terms_published", terms=name, version=version, language=str(language), asks_again=asks_again)
    return added
