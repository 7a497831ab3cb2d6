"""Checker: compares what was commanded with what took effect, and names each thing that went wrong.

A command that was answered must have all its effects once; one that was refused none; one that nobody knows of all or
none. It reads only data, so that its own tests can show it every kind of damage.
"""

import math
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

from tests.faults import checking_people, checking_users
from tests.faults.counting import between
from tests.faults.findings import Damage, Findings
from tests.faults.history import STARTING, History, Kind, Outcome
from tests.faults.observed import Challenge, Copy, MailRow, Observed

NEAR_A_DEATH = timedelta(seconds=3)
"""A connection that ends this near to its courier's death ended with it."""
TOLD = {"delivered": "MailDelivered", "bounced": "MailBounced", "given_up": "MailGivenUp"}
WANTING = ("auth.OtpRequested.", "auth.PasswordChanged.", "auth.AccountBlocked.")
"""Events that want a mail."""
LONGEST_TEXT = timedelta(seconds=6)
"""A text may be under way this long after the database was asked whether its code still counts."""


def check(history: History, observed: Observed, *, longest_wait: float = math.inf) -> Findings:
    """Judge one round; a message that was under way for more than `longest_wait` seconds is one that was stuck."""
    findings = Findings()
    _check_entries(history, observed, findings)
    _check_events(observed, findings)
    _check_effects(observed, findings)
    _check_order(observed, findings)
    _check_waits(observed, longest_wait, findings)
    _check_codes(history, observed, findings)
    _check_mails(observed, findings)
    _check_sessions(history, observed, findings)
    checking_people.check(history, observed, findings)
    checking_users.check(history, observed, findings)
    return findings


def _check_entries(history: History, observed: Observed, findings: Findings) -> None:
    """Hold what the ledger wrote against what was commanded."""
    written = Counter(entry.entry_id for entry in observed.entries)
    commands = {command.subject: command for command in history.of(Kind.ENTRY)}
    for entry_id, command in commands.items():
        count = written[entry_id] if entry_id else 0
        if command.outcome is Outcome.OK and count == 0:
            findings.note(Damage.LOST, f"entry {entry_id} was acknowledged and is not in the ledger")
        if command.outcome is Outcome.REFUSED and count:
            findings.note(Damage.GHOST, f"entry {entry_id} was refused and is in the ledger")
        if count > 1:
            findings.note(Damage.TWICE, f"entry {entry_id} was written {count} times")
    for entry_id in written.keys() - commands.keys():
        findings.note(Damage.GHOST, f"entry {entry_id} was never commanded")


def _check_events(observed: Observed, findings: Findings) -> None:
    """Hold what was owed to the bus, and what is on it, against what was committed."""
    events: dict[UUID, set[str]] = defaultdict(set)
    for owed in observed.owed:
        if owed.entry_id is not None:
            events[owed.entry_id].add(owed.message_id)
    committed = {entry.entry_id for entry in observed.entries}
    for entry_id in committed:
        _one_event(f"entry {entry_id}", events.get(entry_id, set()), findings)
    for entry_id in events.keys() - committed:
        findings.note(Damage.GHOST, f"an event tells of entry {entry_id}, which is not in the ledger")
    for message_id in {record.message_id for record in observed.records} - observed.known_ids:
        findings.note(Damage.GHOST, f"message {message_id} is on the bus and in no archive")


def _one_event(what: str, message_ids: set[str], findings: Findings) -> None:
    if not message_ids:
        findings.note(Damage.ZOMBIE, f"{what} was committed, and no event tells of it")
    if len(message_ids) > 1:
        findings.note(Damage.TWICE, f"{what} is told of by {len(message_ids)} events")


def _check_effects(observed: Observed, findings: Findings) -> None:
    """Every event of an entry had its effect at the mirror once, and the counters agree."""
    effects = Counter(effect.entry_id for effect in observed.effects)
    waits = {owed.entry_id for owed in observed.owed if owed.message_id in observed.waiting}
    for entry in observed.entries:
        count = effects[entry.entry_id]
        if count == 0:
            damage = Damage.STUCK if entry.entry_id in waits else Damage.LOST
            findings.note(damage, f"entry {entry.entry_id} has no effect")
        if count > 1:
            findings.note(Damage.TWICE, f"entry {entry.entry_id} had its effect {count} times")
    for entry_id in effects.keys() - {entry.entry_id for entry in observed.entries}:
        findings.note(Damage.GHOST, f"entry {entry_id} had an effect and is not in the ledger")
    seen = Counter(effect.book_id for effect in observed.effects)
    for book_id in seen.keys() | observed.totals.keys():
        if (total := observed.totals.get(book_id, 0)) != seen[book_id]:
            damage = Damage.TWICE if total > seen[book_id] else Damage.LOST
            findings.note(damage, f"book {book_id} has {seen[book_id]} effects and its counter says {total}")


def _check_order(observed: Observed, findings: Findings) -> None:
    """The effects of one book are 1, 2, 3 …, whatever happened between them."""
    highest: Counter[UUID] = Counter()
    for effect in observed.effects:
        before = highest[effect.book_id]
        if effect.version > before + 1:
            findings.note(Damage.GAP, f"book {effect.book_id}: {effect.version} came right after {before}")
        if effect.version < before:
            findings.note(Damage.INVERSION, f"book {effect.book_id}: {effect.version} came after {before}")
        highest[effect.book_id] = max(before, effect.version)


def _check_waits(observed: Observed, longest: float, findings: Findings) -> None:
    for wait in observed.waits:
        if wait.seconds > longest:
            findings.note(
                Damage.STUCK,
                f"message {wait.message_id} was under way for {wait.seconds:.1f} s from {wait.owed_at:%T} on,"
                f" {wait.seconds_owed:.1f} s of them in the outbox",
            )


def _check_codes(history: History, observed: Observed, findings: Findings) -> None:
    """Every code asked for is settled once, and an issued one is owed once."""
    challenges = {challenge.id: challenge for challenge in observed.challenges}
    commands = history.of(Kind.CODE)
    for command in commands:
        if command.outcome is Outcome.OK and command.subject not in challenges:
            findings.note(Damage.LOST, f"challenge {command.subject} was acknowledged and is not there")
    between("challenges", commands, Counter(c.address for c in observed.challenges), findings)
    events: dict[str, set[str]] = defaultdict(set)
    for owed in observed.owed:
        if owed.type.startswith("auth.OtpRequested."):
            events[owed.key].add(owed.message_id)
    for challenge in observed.challenges:
        _check_challenge(challenge, events.get(str(challenge.id), set()), findings)
    for key in events.keys() - {str(challenge_id) for challenge_id in challenges}:
        findings.note(Damage.GHOST, f"an event tells of challenge {key}, which is not there")


def _check_challenge(challenge: Challenge, message_ids: set[str], findings: Findings) -> None:
    if not challenge.settled:
        findings.note(Damage.STUCK, f"challenge {challenge.id} was never settled")
    elif not challenge.issued:
        findings.note(Damage.LOST, f"challenge {challenge.id} was settled without a code")
    else:
        _one_event(f"challenge {challenge.id}", message_ids, findings)


def _check_mails(observed: Observed, findings: Findings) -> None:
    """Every event that wants a mail has one, which came once, unless it bounced or its code had expired."""
    rows: dict[str, list[MailRow]] = defaultdict(list)
    for mail in observed.mails:
        rows[mail.wanted_by].append(mail)
    for message_id in {owed.message_id for owed in observed.owed if owed.type.startswith(WANTING)}:
        if not rows[message_id]:
            damage = Damage.STUCK if message_id in observed.waiting else Damage.MAIL_LOST
            findings.note(damage, f"message {message_id} wants a mail, and none is owed")
        if len(rows[message_id]) > 1:
            findings.note(
                Damage.MAIL_TWICE, f"message {message_id} wants one mail, and {len(rows[message_id])} are owed"
            )
    copies: dict[UUID | None, list[Copy]] = defaultdict(list)
    for copy in observed.copies:
        copies[copy.mail_id].append(copy)
    told = _told(observed)
    for mail in observed.mails:
        _check_outcome(mail, copies[mail.id], observed, findings)
        _check_told(mail, sorted(told[str(mail.id)].values()), findings)
        _check_copies(mail, copies[mail.id], observed, findings)
    for mail_id in copies.keys() - {mail.id for mail in observed.mails}:
        findings.note(Damage.GHOST, f"mail {mail_id} came and is not owed")


def _told(observed: Observed) -> dict[str, dict[str, str]]:
    """Give the events about each mail: message id and name."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for owed in observed.owed:
        if owed.type.startswith("notifications.Mail"):
            told[owed.key][owed.message_id] = owed.type.split(".")[1]
    return told


def _check_outcome(mail: MailRow, copies: list[Copy], observed: Observed, findings: Findings) -> None:
    """What is noted of a mail is borne out by what came, or by a reason why it could not."""
    if mail.outcome is None:
        findings.note(Damage.STUCK, f"mail {mail.id} was never settled")
        return
    borne_out = {
        "delivered": bool(copies),
        "bounced": bool(_addresses(mail, observed) & observed.bouncing),
        "given_up": mail.settled_at is not None and mail.settled_at >= mail.expires_at,
    }
    if not borne_out[mail.outcome]:
        findings.note(Damage.MAIL_LOST, f"mail {mail.id} is noted as {mail.outcome}, and nothing bears that out")


def _check_told(mail: MailRow, told: list[str], findings: Findings) -> None:
    """One event tells what became of a mail, and it is the one of its outcome."""
    if mail.outcome is not None and not told:
        findings.note(Damage.ZOMBIE, f"mail {mail.id} was settled, and no event tells of it")
    if len(told) > 1:
        findings.note(Damage.TWICE, f"mail {mail.id} is told of by {', '.join(told)}")
    if others := set(told) - {TOLD.get(mail.outcome or "")}:
        findings.note(Damage.GHOST, f"mail {mail.id} is noted as {mail.outcome}, and told of by {', '.join(others)}")


def _check_copies(mail: MailRow, copies: list[Copy], observed: Observed, findings: Findings) -> None:
    """One copy came, in time; of others a death or a cut connection is the reason."""
    for copy in copies:
        if copy.received_at > mail.expires_at + LONGEST_TEXT:
            findings.note(
                Damage.MAIL_EXPIRED, f"mail {mail.id} came at {copy.received_at:%T}, expired {mail.expires_at:%T}"
            )
    for copy, next_copy in pairwise(sorted(copies, key=lambda copy: copy.received_at)):
        if copy.dropped:
            findings.mails_doubled_by_the_server += 1
        elif copy.excuses(next_copy) and _ended_with_its_courier(copy, observed):
            findings.mails_doubled_by_a_death += 1
        else:
            findings.note(
                Damage.MAIL_TWICE, f"mail {mail.id} came at {copy.received_at:%T} and {next_copy.received_at:%T}"
            )


def _ended_with_its_courier(copy: Copy, observed: Observed) -> bool:
    ended_at = copy.ended_at
    return ended_at is not None and any(abs(death - ended_at) < NEAR_A_DEATH for death in observed.courier_deaths)


def _addresses(mail: MailRow, observed: Observed) -> set[str]:
    """Find whom a mail was for: the challenge or the account that its event is about names the address."""
    keys = {owed.key for owed in observed.owed if owed.message_id == mail.wanted_by}
    of_challenges = {str(challenge.id): challenge.address for challenge in observed.challenges}
    of_accounts = {str(account.id): account.address for account in observed.accounts}
    return {address for key, address in (of_challenges | of_accounts).items() if key in keys}


def _check_sessions(history: History, observed: Observed, findings: Findings) -> None:
    """A code or a right password is good for one session, however many tried it at the same time."""
    commands = history.of(*STARTING)
    between("sessions", commands, Counter(session.address for session in observed.sessions), findings)
    used = Counter(command.subject for command in commands if command.subject and command.outcome is Outcome.OK)
    for challenge_id, count in used.items():
        if count > 1:
            findings.note(Damage.TWICE, f"challenge {challenge_id} was redeemed {count} times")
