"""Keys: which key sets a service reads, and their rotation step by step."""

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chassis import keysets, settings
from chassis.commands.command import Bare, output, say
from chassis.keysets import KeySets, WrongStep
from chassis.service import Service
from chassis.systems import Systems


async def list_keys(of: Service[Any], given: argparse.Namespace) -> int:
    """List the keys, and say what is wrong with them; gives 1 for that."""
    sets = _sets(of, given)
    for key in keysets.list_keys(sets):
        age = None if key.made_at is None else (datetime.now(UTC) - key.made_at).days
        output(asdict(key) | {"age_days": age})
    for system in () if given.public and given.private else Systems.load(settings.read(of.settings, of.name).systems):
        for kid in system.keys:
            output({"key": kid, "system": system.name, "signs": sorted(system.requests)})
    faults = keysets.faults(sets, of.sealed_to)
    for fault in faults:
        say(f"wrong: {fault}")
    return 1 if faults else 0


async def rotate(of: Service[Any], given: argparse.Namespace) -> int:
    """Do one step of a rotation."""
    sets = _sets(of, given)
    try:
        if given.publish:
            output({"published": keysets.publish(sets), "public_keys": str(sets.own_public)})
            say(
                "Give this set to every service, and start their roles again: from then on they seal to the new key. "
                f"In {keysets.KEEP.days} days: keys rotate --retire"
            )
        elif given.retire:
            output({"retired": keysets.retire(sets)})
            say(f"Give both sets to every service, and start the roles of {of.name} again.")
        else:
            output({"made": keysets.begin(sets), "private_keys": str(sets.private)})
            say(
                f"Mount this set at every role of {of.name}, and start them again; only when all of them have it: "
                "keys rotate --publish"
            )
    except WrongStep as error:
        say(f"refused: {error}")
        return 1
    return 0


def _sets(of: Service[Any], given: argparse.Namespace) -> KeySets:
    """Take the files that were named, else those of the settings."""
    if given.public and given.private:
        return KeySets(of.name, given.public, given.private)
    read = settings.read(of.settings, of.name)
    return KeySets(of.name, given.public or read.public_keys, given.private or read.private_keys)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--public", type=Path, metavar="FOLDER", help="instead of SAMBAND_PUBLIC_KEYS")
    parser.add_argument("--private", type=Path, metavar="FILE", help="instead of SAMBAND_PRIVATE_KEYS")


def _rotate_arguments(parser: argparse.ArgumentParser) -> None:
    _arguments(parser)
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--publish", action="store_true", help="second step: let writers use the new key")
    step.add_argument("--retire", action="store_true", help="last step, 30 days later: take the old keys away")


COMMANDS = (
    Bare(
        "keys list",
        "which keys there are, which are used, and how old they are",
        _arguments,
        list_keys,
        "One line a key, never a secret: whether this service can open what is sealed to it (`opens`), and whether it is "
        "the one that writers seal to (`used_by_writers`). Then the keys of systems that sign requests (SAMBAND_SYSTEMS), "
        "with what they may ask for. Ends with 1 when the sets do not fit together.",
    ),
    Bare(
        "keys rotate",
        "give this service a new key, in three steps",
        _rotate_arguments,
        rotate,
        "A reader gets a new private key before writers get the public one, so that nothing is sealed to a key that "
        "nobody can open. First step (no option): add a private key; mount it at every role of this service. Second "
        "(--publish): put its public half first; give the set to every service. Third (--retire), 30 days later: take "
        "the old keys away. Only files are changed; roles read them when they start.",
    ),
)
