"""OpenAPI: the HTTP interface of one service, as its own app describes it, for whoever calls it."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from chassis import jwks, service
from chassis.postgres import Database
from chassis.sealing import Keyring
from chassis.service import Runtime
from contracts.catalogue import Schema
from deploy.local import keysets
from deploy.local.platform import ISSUER, ORGANISATION, SERVICES

GIVEN: Mapping[str, Mapping[str, Any]] = {
    "auth": {
        "code_key": base64.b64encode(bytes(32)).decode(),
        "password_pepper": base64.b64encode(bytes(32)).decode(),
    },
    "notifications": {
        **{name.removeprefix("SAMBAND_").lower(): value for name, value in ORGANISATION.items()},
        "smtp_host": "mail.example.no",
        "portal_url": "https://portal.example.no",
    },
}
"""What a service asks for before it starts; nothing of it stands in a document."""


@cache
def document(name: str) -> Schema:
    """Describe a service by the app that its api role serves, which is made for this alone and answers nothing."""
    declared: service.Service[Any] = importlib.import_module(f"services.{name}.__main__").SERVICE
    with TemporaryDirectory() as folder:
        keys = Path(folder)
        keysets.make(keys, SERVICES)
        token_keys, token_key = keysets.make_tokens(keys)
        own = {"token_private_keys": token_key} if "token_private_keys" in declared.settings.model_fields else {}
        settings = declared.settings(
            database_url="postgresql://nowhere.example.no",
            public_keys=keys / "public",
            private_keys=keys / "private" / f"{name}.json",
            token_keys=token_keys,
            token_issuer=ISSUER,
            **own,
            **GIVEN.get(name, {}),
        )
        runtime = Runtime(settings, cast(Database, None))  # No request comes, so nothing is asked of it.
        routers = [*declared.routers(runtime), jwks.router(Keyring.load(name, keys / "public", None))]
        app = service.app_of(declared, settings, routers, service.authenticator_of(declared, runtime, routers))
    return app.openapi()
