"""Operators' commands about the keys that access tokens are signed with."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chassis import settings
from chassis.commands.command import Bare, output, say
from chassis.errors import Misconfigured
from chassis.keysets import WrongStep
from chassis.service import Service
from services.auth.sessions import token_keys
from services.auth.sessions.token_keys import KEEP, TokenKeys


async def list_keys(of: Service[Any], given: argparse.Namespace) -> int:
    """List the keys, the one that signs first."""
    for key in token_keys.list_keys(_files(of, given)):
        output(asdict(key))
    return 0


async def rotate(of: Service[Any], given: argparse.Namespace) -> int:
    """Do one step of a rotation."""
    files = _files(of, given)
    try:
        if given.use:
            output({"signs": token_keys.use(files), "private_keys": str(files.private)})
            say(
                f"Mount both sets, and start the roles of {of.name} again. {KEEP.seconds // 60} minutes after the last of "
                "them signs with the new key: token-keys rotate --retire"
            )
        elif given.retire:
            output({"retired": token_keys.retire(files), "public_keys": str(files.public)})
            say("Mount this set at every service, and start their roles again, when it suits.")
        else:
            output({"made": token_keys.begin(files), "public_keys": str(files.public)})
            say(
                "Mount the public set at every service, and start their roles again; only when all of them have it: "
                "token-keys rotate --use"
            )
    except WrongStep as error:
        say(f"refused: {error}")
        return 1
    return 0


def _files(of: Service[Any], given: argparse.Namespace) -> TokenKeys:
    """Take the files that were named, else those of the settings; raises `Misconfigured`."""
    if given.public and given.private:
        return TokenKeys(given.public, given.private)
    read = settings.read(of.settings, of.name)
    public = given.public or read.token_keys
    if public is None:
        raise Misconfigured(f"{of.name}: SAMBAND_TOKEN_KEYS is missing; or name the file with --public")
    return TokenKeys(public, given.private or read.token_private_keys)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--public", type=Path, metavar="FILE", help="instead of SAMBAND_TOKEN_KEYS")
    parser.add_argument("--private", type=Path, metavar="FILE", help="instead of SAMBAND_TOKEN_PRIVATE_KEYS")


def _rotate_arguments(parser: argparse.ArgumentParser) -> None:
    _arguments(parser)
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--use", action="store_true", help="second step: sign with the new key")
    step.add_argument("--retire", action="store_true", help="last step, minutes later: take the old key away")


COMMANDS = (
    Bare(
        "token-keys list",
        "which keys access tokens are signed with, and which are known",
        _arguments,
        list_keys,
        "One line a key, never a secret: whether tokens are signed with it now (`signs`), whether auth could (`can_sign`), "
        "and whether services that have this set take its tokens (`public`).",
    ),
    Bare(
        "token-keys rotate",
        "sign access tokens with a new key, in three steps",
        _rotate_arguments,
        rotate,
        "Every service must know a key before auth signs with it, and keep the old one until the last token that it signed "
        "has expired. First step (no option): make a key; its public half goes to every service. Second (--use): auth signs "
        "with it. Third (--retire), minutes later: take the old public half away. Only files are changed; roles read them "
        "when they start.",
    ),
)
