"""JWKS: the public keys that others seal to this service with."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from chassis import access
from chassis.sealing import Keyring

PATH = "/.well-known/jwks.json"


class JwkSet(BaseModel):
    """A JWK Set (RFC 7517); the first key is the one to seal with."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "keys": [
                    {
                        "kty": "OKP",
                        "crv": "Ed25519",
                        "kid": "auth-tokens-1",
                        "use": "sig",
                        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                    }
                ]
            }
        }
    )
    keys: list[dict[str, Any]]


def router(keyring: Keyring) -> APIRouter:
    """Make the route of this service's public keys, which nobody needs to sign in for."""
    routes = APIRouter(tags=["keys"], dependencies=[access.anyone("Public keys are for everybody.")])

    @routes.get(PATH, summary="Give the public keys to seal with for this service")
    async def show_public_keys() -> JwkSet:
        return JwkSet(keys=keyring.own_public())

    return routes
