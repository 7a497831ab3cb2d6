"""Composition root of auth."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter

from chassis import cli
from chassis.access import Authenticator
from chassis.loop import Loop
from chassis.service import Runtime, Service
from chassis.upkeep import Upkeep
from services.auth import commands, restore, workers
from services.auth.access_orders import api as access_orders
from services.auth.codes import api as codes
from services.auth.codes import password_api
from services.auth.consumers import HANDLERS
from services.auth.front import Front
from services.auth.identity_links import api as identity_links
from services.auth.identity_providers import api as identity_providers
from services.auth.keys import Keys, Secrets
from services.auth.limits import Limits
from services.auth.organisations import organisations
from services.auth.passwords import api as passwords
from services.auth.passwords.hashing import Hashing
from services.auth.people import accounts
from services.auth.rights import grants
from services.auth.sessions import api as sessions
from services.auth.sessions import authentication, token_api, token_keys
from services.auth.settings import AuthSettings
from services.auth.terms import api as terms
from services.auth.users import api as users


def routers(runtime: Runtime[AuthSettings]) -> Sequence[APIRouter]:
    front, signer = _front(runtime), token_keys.signer_of(runtime.settings)
    desk = identity_providers.desk_of(runtime.settings, front.chance)
    hashing = Hashing(runtime.settings.password_pepper)
    return [
        codes.router(front),
        password_api.router(front, hashing),
        passwords.router(front, hashing),
        sessions.router(front, signer),
        token_api.router(front, signer),
        terms.router(front),
        users.router(front),
        access_orders.router(front),
        identity_providers.router(front, desk),
        identity_links.router(front, desk, hashing),
    ]


def authenticator(runtime: Runtime[AuthSettings]) -> Authenticator:
    return authentication.of(_front(runtime), runtime)


def _front(runtime: Runtime[AuthSettings]) -> Front:
    settings = runtime.settings
    return Front(runtime.database, settings, Keys(settings.code_key), Secrets(), Limits.of(settings))


def loops(runtime: Runtime[AuthSettings]) -> Sequence[Loop]:
    settings, database = runtime.settings, runtime.database
    return [
        *workers.loops(database, keys=Keys(settings.code_key), chance=Secrets(), limits=Limits.of(settings)),
        *workers.ordering(database, keep_days=settings.keep_orders_days),
    ]


UPKEEP = Upkeep(
    republish={
        "accounts": accounts.republish,
        "erased-accounts": accounts.republish_erased,
        "organisations": organisations.republish,
        "rights": grants.republish,
    },
    restored=restore.end_all,
    settle=restore.settle,
)
SERVICE = Service(
    "auth",
    AuthSettings,
    Path(__file__).parent,
    routers=routers,
    handlers=HANDLERS,
    loops=loops,
    upkeep=UPKEEP,
    authenticator=authenticator,
    forms=(token_api.PATH,),
)

if __name__ == "__main__":
    sys.exit(cli.main(SERVICE, commands.COMMANDS))
