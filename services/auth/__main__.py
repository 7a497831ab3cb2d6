"""Composition root of auth."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter

from chassis import cli
from chassis.loop import Loop
from chassis.service import Runtime, Service
from chassis.upkeep import Upkeep
from services.auth import accounts, api, commands, restore, workers
from services.auth.consumers import HANDLERS
from services.auth.keys import Keys, Secrets
from services.auth.login_codes import Limits
from services.auth.settings import AuthSettings


def limits(settings: AuthSettings) -> Limits:
    """Take the limits from the settings."""
    return Limits(
        code_minutes=settings.code_minutes,
        codes_per_quarter=settings.codes_per_quarter,
        tries_per_code=settings.tries_per_code,
        tries_per_quarter=settings.tries_per_quarter,
        failures_per_day=settings.failures_per_day,
        source_limit=settings.source_limit,
        known_networks=settings.known_networks,
    )


def routers(runtime: Runtime[AuthSettings]) -> Sequence[APIRouter]:
    settings = runtime.settings
    return [
        api.router(runtime.database, settings, keys=Keys(settings.code_key), chance=Secrets(), limits=limits(settings))
    ]


def loops(runtime: Runtime[AuthSettings]) -> Sequence[Loop]:
    settings = runtime.settings
    return workers.loops(runtime.database, keys=Keys(settings.code_key), chance=Secrets(), limits=limits(settings))


UPKEEP = Upkeep(
    republish={"accounts": accounts.republish, "erased-accounts": accounts.republish_erased},
    restored=restore.end_all,
    settle=restore.settle,
)
SERVICE = Service(
    "auth", AuthSettings, Path(__file__).parent, routers=routers, handlers=HANDLERS, loops=loops, upkeep=UPKEEP
)

if __name__ == "__main__":
    sys.exit(cli.main(SERVICE, commands.COMMANDS))
