"""Checking people: what became of activations, wrong passwords and log-outs, and what was told of them."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tests.faults.counting import between, each_once
from tests.faults.findings import Damage, Findings
from tests.faults.history import Command, History, Kind, Outcome
from tests.faults.observed import Account, Block, Observed

TRIES_IN_A_ROW = 5
"""So many wrong passwords are compared, and then none for a quarter of an hour (L7)."""
EPOCH_BITS = 32
"""A token's epoch holds the account's below, and the service's above them."""


def check(history: History, observed: Observed, findings: Findings) -> None:
    """Judge what people did with passwords and sessions."""
    _check_activations(history, observed, findings)
    _check_guesses(history, observed, findings)
    _check_blocks(observed, findings)
    _check_ended(history, observed, findings)
    for account in observed.accounts:
        _check_voided(account, observed, findings)


def _check_activations(history: History, observed: Observed, findings: Findings) -> None:
    """A code sets one password, which is told of once."""
    commands = history.of(Kind.ACTIVATION)
    addresses = {account.id: account.address for account in observed.accounts}
    told = [owed for owed in observed.told("auth.PasswordChanged.v1") if UUID(owed.key) in addresses]
    between("passwords", commands, Counter(addresses[UUID(owed.key)] for owed in told), findings)
    outcomes = Counter((command.key, command.outcome) for command in commands)
    for account in observed.accounts:
        of_it = sorted(str(owed.said["changed_at"]) for owed in told if owed.key == str(account.id))
        if account.address in {command.key for command in commands} and account.password_set is not bool(of_it):
            damage = Damage.ZOMBIE if account.password_set else Damage.GHOST
            findings.note(
                damage, f"{account.address}: password set: {account.password_set}, told of {len(of_it)} times"
            )
    for address in {command.key for command in commands}:
        if not (outcomes[address, Outcome.OK] or outcomes[address, Outcome.UNKNOWN]):
            findings.note(Damage.LOST, f"{address}: a code that was mailed set no password")


@dataclass(slots=True)
class _Counted:
    """Wrong passwords in a row: those that were surely counted, and those that may have been."""

    sure: int = 0
    perhaps: int = 0

    def add(self, command: Command) -> None:
        self.sure += command.outcome is Outcome.REFUSED
        self.perhaps += 1  # However often it was given: again only where nobody listened.


def _check_guesses(history: History, observed: Observed, findings: Findings) -> None:
    """No more passwords are compared than may be, and nobody is kept out before that."""
    counted: dict[str, _Counted] = defaultdict(_Counted)
    for command in history.of(Kind.GUESS, Kind.LOG_IN):
        so_far = counted[command.key]
        match command.kind, command.outcome:
            case Kind.GUESS, Outcome.OK:
                findings.note(Damage.GHOST, f"{command.key}: a wrong password logged somebody in")
            case Kind.LOG_IN, Outcome.OK:
                if so_far.sure >= TRIES_IN_A_ROW:
                    findings.note(Damage.GHOST, f"{command.key}: logged in after {so_far.sure} wrong passwords")
                counted[command.key] = _Counted()
                continue
            case Kind.LOG_IN, Outcome.REFUSED if so_far.perhaps < TRIES_IN_A_ROW:
                findings.note(Damage.LOST, f"{command.key}: kept out after {so_far.perhaps} wrong passwords at most")
            case Kind.LOG_IN, Outcome.UNKNOWN:  # It may have set the count to zero.
                so_far.sure = 0
        so_far.add(command)
    failures = _failures(observed)
    for address, so_far in counted.items():
        if failures[address] < (sure := min(so_far.sure, TRIES_IN_A_ROW)):
            findings.note(
                Damage.LOST, f"{address}: {sure} wrong passwords were answered and {failures[address]} counted"
            )


def _failures(observed: Observed) -> Counter[str]:
    addresses = {account.id: account.address for account in observed.accounts}
    failures: Counter[str] = Counter()
    for block in observed.blocks:
        failures[addresses[block.account_id]] += block.failures
    return failures


def _check_blocks(observed: Observed, findings: Findings) -> None:
    """A block comes with the last password that is compared, and its person is told of it once."""
    told = Counter(UUID(owed.key) for owed in observed.told("auth.AccountBlocked.v1"))
    blocks: dict[UUID, list[Block]] = defaultdict(list)
    for block in observed.blocks:
        blocks[block.account_id].append(block)
        if block.failures > TRIES_IN_A_ROW:
            findings.note(Damage.TWICE, f"account {block.account_id}: {block.failures} wrong passwords were compared")
        if (block.failures >= TRIES_IN_A_ROW) is not block.blocked:
            findings.note(
                Damage.LOST, f"account {block.account_id}: {block.failures} wrong ones, blocked: {block.blocked}"
            )
        if block.blocked and not block.told:
            findings.note(Damage.STUCK, f"account {block.account_id}: nobody was told of its block")
    for account_id in blocks.keys() | told.keys():
        count = sum(block.told for block in blocks[account_id])
        if told[account_id] < count:
            findings.note(Damage.ZOMBIE, f"account {account_id}: a block is noted as told, and no event tells of it")
        if told[account_id] > count:
            damage = Damage.TWICE if count else Damage.GHOST
            findings.note(damage, f"account {account_id}: {told[account_id]} events tell of {count} blocks")


def _check_ended(history: History, observed: Observed, findings: Findings) -> None:
    """Who logged out is out, in each browser; who ended all others has one session left."""
    ended = Counter(session.address for session in observed.sessions if session.ended_at)
    left = Counter(session.address for session in observed.sessions if not session.ended_at)
    unknown = Counter(c.key for c in history.of(Kind.LOG_IN) if c.outcome is Outcome.UNKNOWN)
    out = {(c.key, c.subject) for c in history.of(Kind.LOG_OUT) if c.outcome is Outcome.OK}
    for address, count in Counter(address for address, _ in out).items():
        if ended[address] < count:
            findings.note(
                Damage.LOST, f"{address}: logged out in {count} browsers, and {ended[address]} sessions ended"
            )
    for command in history.of(Kind.END_OTHERS):
        if command.outcome is Outcome.OK and left[command.key] > 1 + unknown[command.key]:
            findings.note(Damage.LOST, f"{command.key}: all others were ended, and {left[command.key]} go on")
        if left[command.key] == 0:
            findings.note(Damage.GHOST, f"{command.key}: all others were to end, and none goes on")


def _check_voided(account: Account, observed: Observed, findings: Findings) -> None:
    """Each session that ended is told of once, by itself or with all of its account; each such time once."""
    voided = [owed for owed in observed.told("auth.TokensVoided.v1") if owed.key == str(account.id)]
    whole = [owed for owed in voided if owed.said.get("below_epoch") is not None]
    epochs = [int(str(owed.said["below_epoch"])) % (1 << EPOCH_BITS) for owed in whole]
    each_once(f"{account.address}: epoch", range(2, account.security_epoch + 1), epochs, findings)
    moments = {datetime.fromisoformat(str(owed.said["voided_at"])) for owed in whole}
    by_itself = {
        str(session.id)
        for session in observed.sessions
        if session.account_id == account.id and session.ended_at and session.ended_at not in moments
    }
    told = [str(owed.said["session_id"]) for owed in voided if owed.said.get("session_id") is not None]
    each_once(f"{account.address}: end of session", by_itself, told, findings)
