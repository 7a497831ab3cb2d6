"""Front: what every route of auth is served with, and the three cookies that a browser carries."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Cookie, Request, Response

from chassis import http
from chassis.postgres import Database
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits
from services.auth.settings import AuthSettings

BROWSER, SESSION, LINKING = "__Host-browser", "__Host-session", "__Host-linking"
BROWSER_SECONDS = 180 * 24 * 3600

BrowserCookie = Annotated[
    str | None,
    Cookie(
        alias=BROWSER,
        max_length=100,
        pattern="^[A-Za-z0-9_-]*$",
        description="Names the browser for 180 days: what was asked for is redeemed where it was asked for.",
    ),
]
SessionCookie = Annotated[
    str | None, Cookie(alias=SESSION, max_length=100, description="The session that the browser has.")
]
LinkingCookie = Annotated[
    str | None, Cookie(alias=LINKING, max_length=100, description="Says who was proven by a provider, to be linked.")
]
SETS_SESSION: dict[str, Any] = {
    "headers": {
        "Set-Cookie": {
            "description": f"The new session, `{SESSION}`, which takes the place of the one before.",
            "schema": {"type": "string"},
        }
    }
}
"""How a route that logs somebody in documents its answer."""


@dataclass(frozen=True, slots=True)
class Front:
    """What the routes are served with."""

    database: Database
    settings: AuthSettings
    keys: Keys
    chance: Chance
    limits: Limits

    def browser_of(self, response: Response, browser: BrowserCookie = None) -> str:
        """Name the browser: a cookie of its own, given to whoever has none."""
        token = browser or self.chance.token()
        set_cookie(response, BROWSER, token, BROWSER_SECONDS)
        return token

    def source_of(self, request: Request) -> str:
        """Give the network address that a request comes from."""
        return http.client_address(request, self.settings.trusted_proxies)


def set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    """Give the browser a cookie that no page and no other host can read."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def delete_cookie(response: Response, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(name, secure=True, httponly=True, samesite="lax")
