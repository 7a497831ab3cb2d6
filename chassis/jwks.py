"""JWKS: the public keys that others seal to this service with."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from chassis import access
from chassis.sealing import Keyring

PATH = "/.well-known/jwks.json"


class JwkSet(BaseModel):
    """A JWK Set (RFC 7517); the first key is the one to seal with."""

    keys: list[dict[str, Any]]


def router(keyring: Keyring) -> APIRouter:
    """Make the route of this service's public keys, which nobody needs to sign in for."""
    routes = APIRouter(tags=["keys"], dependencies=[access.anyone("Public keys are for everybody.")])

    @routes.get(PATH)
    async def show_public_keys() -> JwkSet:
        return JwkSet(keys=keyring.own_public())

    return routes
