"""A provider beside auth: the simulator in this process, what auth is told of it, and a person who goes there and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from fastapi import FastAPI
from joserfc.jwk import ECKey, RSAKey

from deploy.local.provider.app import application
from deploy.local.provider.faults import Fault
from deploy.local.provider.simulator import Client, Simulator
from deploy.local.provider.visit import visit
from services.auth.identities import vault
from services.auth.identity_providers.api import Desk
from services.auth.identity_providers.calls import Caller
from services.auth.identity_providers.profiles import Providers
from services.auth.settings import AuthSettings
from tests.auth.world import Browser, World

NAME, ISSUER, CLIENT = "id-porten", "https://provider.example.no", "samband"
PORTAL = "https://portal.example.no"
CALLBACK = f"{PORTAL}/v1/identity-providers/{NAME}/callback"
LINK_PAGE = "/link-identity"
SECRET = "a secret that both know: + & %"
KEYS: Mapping[str, RSAKey | ECKey] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "ours-rsa"}, private=True),
    "ES256": ECKey.generate_key("P-256", {"kid": "ours-ec"}, private=True),
}
PROFILE: Mapping[str, Any] = {
    "issuer": ISSUER,
    "client_id": CLIENT,
    "titles": {"nb": "ID-porten", "nn": "ID-porten", "en": "ID-porten"},
    "key": "key.json",
    "scopes": ["openid", "profile"],
    "assurance": {"low": "low", "substantial": "substantial", "high": "high"},
    "acr_values": ["substantial", "high"],
    "number_claim": "pid",
    "number_required": True,
    "synthetic": True,
    "ui_locales": {"nb": "nb", "nn": "nn", "en": "en"},
    "front_channel_logout": True,
}


def write(folder: Path, name: str = NAME, algorithm: str = "ES256", **changes: Any) -> Path:
    """Write a provider's file, its key and its secret; `...` takes a field away. Gives the folder."""
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    (folder / "keys" / "key.json").write_text(json.dumps(KEYS[algorithm].as_dict(private=True)))
    (folder / "keys" / "secret.txt").write_text(SECRET + "\n")
    profile = {name: value for name, value in {**PROFILE, **changes}.items() if value is not ...}
    (folder / f"{name}.json").write_text(json.dumps(profile))
    return folder


class _Heard(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, requests: list[httpx2.Request]) -> None:
        self._inner, self._requests = inner, requests

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._requests.append(request)
        return await self._inner.handle_async_request(request)


@dataclass(frozen=True, slots=True)
class Place:
    """Auth and a provider that knows it."""

    world: World
    simulator: Simulator
    site: FastAPI
    desk: Desk
    settings: AuthSettings
    requests: list[httpx2.Request]

    @classmethod
    def make(cls, world: World, folder: Path, *, client: Mapping[str, Any] | None = None, **profile: Any) -> "Place":
        algorithm = str(profile.pop("algorithm", "ES256"))
        providers = write(folder, algorithm=algorithm, **profile)
        keys = folder / "identity-keys.json.set"
        keys.write_text(json.dumps({"keys": [vault.new_key("identities-1").as_dict(private=True)]}))
        settings = world.settings.model_copy(
            update={"identity_providers": providers, "identity_keys": keys, "public_url": PORTAL}
        )
        known: dict[str, Any] = {"key": KEYS[algorithm].as_dict(private=False), **(client or {})}
        registered = Client(
            CLIENT,
            (CALLBACK,),
            log_out_uris=(f"{PORTAL}/log-in",),
            front_channel=f"{PORTAL}/v1/identity-providers/{NAME}/front-channel-logout",
            **known,
        )
        simulator = Simulator(ISSUER, {CLIENT: registered})
        site = application(simulator)
        heard: list[httpx2.Request] = []
        caller = Caller(_Heard(httpx2.ASGITransport(site), heard), seconds=2.0)
        world = replace(world, settings=settings, caller=caller)
        return cls(world, simulator, site, world.desk, settings, heard)

    @property
    def providers(self) -> Providers:
        return self.desk.providers

    def browser(self) -> Browser:
        return self.world.browser()

    async def begin(self, browser: Browser, **asked: Any) -> httpx2.Response:
        return await browser.send("POST", f"/v1/identity-providers/{NAME}/log-ins", json=asked)

    async def at_provider(self, url: str, person: int = 0, acr: str = "high", *, cancel: bool = False) -> str:
        """Go there, choose who one is, and give the address that the provider sends the browser back to."""
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(self.site)) as visitor:
            return await visit(visitor, url, person=person, acr=acr, cancel=cancel)

    async def come_back(self, browser: Browser, address: str, **headers: str) -> httpx2.Response:
        """Let the browser follow the address that the provider has sent it to."""
        parts = urlsplit(address)
        assert f"{parts.scheme}://{parts.netloc}" == PORTAL
        return await browser.send("GET", f"{parts.path}?{parts.query}", headers=headers)

    async def log_in(
        self,
        browser: Browser,
        person: int = 0,
        acr: str = "high",
        headers: Mapping[str, str] | None = None,
        **asked: Any,
    ) -> httpx2.Response:
        """Go all the way; gives the last answer that there is."""
        begun = await self.begin(browser, **asked)
        if begun.status_code != 201:
            return begun
        back = await self.at_provider(begun.json()["redirect_url"], person, acr)
        return await self.come_back(browser, back, **(headers or {}))

    def spoil(self, *faults: Fault) -> None:
        self.simulator.faults = set(faults)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
