"""Checking users: what superusers changed, what was told of it, and what a reader made of that."""

from collections import Counter
from itertools import pairwise

from tests.faults.counting import between, each_once
from tests.faults.findings import Damage, Findings
from tests.faults.history import History, Kind, Outcome
from tests.faults.observed import Heard, Observed, State

CHANGED = {"auth.AccountChanged.v1": "account", "auth.RightsChanged.v1": "membership"}


def check(history: History, observed: Observed, findings: Findings) -> None:
    """Judge edits and rights: one version each, told of once, and kept by the reader as it is now."""
    _check_edits(history, observed, findings)
    _check_rights(history, observed, findings)
    for state in observed.states:
        what = f"{CHANGED[state.type]} {state.key} version"
        told = [int(str(owed.said["version"])) for owed in observed.told(state.type) if owed.key == str(state.key)]
        each_once(what, range(1, state.version + 1), told, findings)
        _check_heard(state, observed, findings)


def _check_edits(history: History, observed: Observed, findings: Findings) -> None:
    """Each edit that was acknowledged made a version of its own, right after the one that its editor had seen."""
    commands = history.of(Kind.EDIT)
    edited = {command.key for command in commands}
    made = Counter({str(each.id): each.version - 1 for each in observed.accounts if str(each.id) in edited})
    between("edits", commands, made, findings)
    known = [(c.key, c.version) for c in commands if c.version is not None and c.outcome is Outcome.OK]
    versions = Counter(known)
    for command in commands:
        if command.version is not None and command.version != command.seen + 1:
            findings.note(
                Damage.LOST,
                f"user {command.key}: who had seen {command.seen} wrote {command.version} over others' edits",
            )
    for (user_id, version), count in versions.items():
        if count > 1:
            findings.note(Damage.TWICE, f"user {user_id}: {count} edits made version {version}")
        if version > made[user_id] + 1:
            findings.note(Damage.LOST, f"user {user_id}: version {version} was acknowledged and is not there")


def _check_rights(history: History, observed: Observed, findings: Findings) -> None:
    """Each turn that was acknowledged changed the membership once, and the last one is how it is now."""
    commands = history.of(Kind.RIGHT)
    of_user = {str(each.account_id): each for each in observed.memberships}
    between("changes of rights", commands, Counter({key: each.version for key, each in of_user.items()}), findings)
    last = {(command.key, command.group): command for command in commands}
    for (user_id, group), command in last.items():
        has = user_id in of_user and group in of_user[user_id].groups
        if command.outcome is Outcome.OK and has is not command.gives:
            damage = Damage.LOST if command.gives else Damage.GHOST
            findings.note(damage, f"user {user_id}: {group} was {'given' if command.gives else 'taken'}; has it: {has}")


def _check_heard(state: State, observed: Observed, findings: Findings) -> None:
    """The reader heard of each version once and in order, and keeps the newest as it is."""
    heard = [each for each in observed.heard if (each.type, each.key) == (state.type, state.key)]
    what = f"{CHANGED[state.type]} {state.key}"
    for version, count in Counter(each.version for each in heard).items():
        if count > 1:
            findings.note(Damage.TWICE, f"{what}: version {version} was heard {count} times")
        if version > state.version:
            findings.note(Damage.GHOST, f"{what}: version {version} was heard and is not there")
    for version in set(range(1, state.version + 1)) - {each.version for each in heard}:
        damage = Damage.STUCK if _waits(state, version, observed) else Damage.LOST
        findings.note(damage, f"{what}: version {version} was never heard")
    _check_order(what, heard, findings)
    kept = observed.standing.get((state.type, state.key))
    if state.version and kept != (state.version, state.groups):
        findings.note(Damage.LOST, f"{what}: is {state.version} {state.groups}, and its reader keeps {kept}")


def _check_order(what: str, heard: list[Heard], findings: Findings) -> None:
    if heard and heard[0].version > 1:
        findings.note(Damage.GAP, f"{what}: {heard[0].version} was heard first")
    for before, after in pairwise(each.version for each in heard):
        if after > before + 1:
            findings.note(Damage.GAP, f"{what}: {after} was heard right after {before}")
        if after < before:
            findings.note(Damage.INVERSION, f"{what}: {after} was heard after {before}")


def _waits(state: State, version: int, observed: Observed) -> bool:
    told = (owed for owed in observed.told(state.type) if owed.key == str(state.key))
    return any(owed.said.get("version") == version and owed.message_id in observed.waiting for owed in told)
