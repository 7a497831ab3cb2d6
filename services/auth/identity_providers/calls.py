"""Calls: the few requests that we send to a provider: to addresses of its own profile or discovery, bounded in time and size."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx2

from services.auth.identity_providers.errors import ProviderDistrusted, ProviderUnavailable
from services.auth.identity_providers.profiles import may_be_called

SECONDS = 8.0
"""All of one call."""
LARGEST = 262_144
"""Bytes of an answer."""


class Caller:
    """Sends requests; follows no redirect, keeps no cookie, and takes nothing but JSON."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None, seconds: float = SECONDS) -> None:
        self._transport = transport
        self._seconds = seconds
        self._verify = ssl.create_default_context()

    async def get(self, url: str, what: str) -> Mapping[str, Any]:
        """Give what an address answers; raises `ProviderUnavailable`, and `ProviderDistrusted` for no JSON object."""
        status, content = await self._send("GET", url, what)
        if status != httpx2.codes.OK:
            raise ProviderUnavailable(f"{what} answers {status}")
        return _object(content, what)

    async def post(
        self, url: str, what: str, form: Mapping[str, str], basic: tuple[str, str] | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        """Send a form and give status and answer; raises as above, `ProviderUnavailable` for a status of 500 or more."""
        status, content = await self._send("POST", url, what, data=dict(form), auth=basic)
        if status >= httpx2.codes.INTERNAL_SERVER_ERROR or status == httpx2.codes.TOO_MANY_REQUESTS:
            raise ProviderUnavailable(f"{what} answers {status}")
        return status, _object(content, what)

    async def _send(self, method: str, url: str, what: str, **sent: Any) -> tuple[int, bytes]:
        if not may_be_called(url):
            raise ProviderDistrusted(f"{what} is at an address that is not called")
        try:
            async with asyncio.timeout(self._seconds), self._client() as client:
                return await _read(client, method, url, what, sent)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise ProviderUnavailable(f"{what} does not answer: {type(error).__name__}") from None

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=self._transport,
            verify=self._verify,
            timeout=self._seconds,
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "application/json"},
        )


async def _read(
    client: httpx2.AsyncClient, method: str, url: str, what: str, sent: Mapping[str, Any]
) -> tuple[int, bytes]:
    content = bytearray()
    async with client.stream(method, url, **sent) as answer:
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > LARGEST:
                raise ProviderDistrusted(f"{what} is too large")
        return answer.status_code, bytes(content)


def _object(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ProviderDistrusted(f"{what} is no JSON") from None
    if not isinstance(found, dict):
        raise ProviderDistrusted(f"{what} is no JSON object")
    return found
