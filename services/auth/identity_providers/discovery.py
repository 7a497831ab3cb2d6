"""Discovery: where a provider's endpoints are and which keys it signs with, asked of itself and remembered for a while."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from services.auth.identity_providers.calls import Caller
from services.auth.identity_providers.errors import ProviderDistrusted, ProviderUnavailable
from services.auth.identity_providers.profiles import Provider, SigningKey, algorithm_of, may_be_called

FRESH_SECONDS = 3600.0
"""So long nothing is asked again."""
STALE_SECONDS = 24 * 3600.0
"""So long what was found goes on while the provider does not answer."""
MOST_KEYS = 50
WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery), as far as it is needed."""

    authorization: str
    token: str
    keys: str
    pushed: str | None
    end_session: str | None
    says_issuer: bool
    """Its answers name their issuer (RFC 9207)."""


Keys = Mapping[str, SigningKey]


@dataclass(slots=True)
class _Kept:
    metadata: Metadata | None = None
    metadata_at: float = 0.0
    keys: Keys | None = None
    keys_at: float = 0.0


class Directory:
    """Remembers the metadata and the keys of providers, in memory."""

    def __init__(self, caller: Caller, clock: Callable[[], float] = time.monotonic) -> None:
        self._caller = caller
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def metadata(self, provider: Provider) -> Metadata:
        """Give what a provider says of itself; raises `ProviderUnavailable`, `ProviderDistrusted`."""
        kept, now = self._kept.setdefault(provider.name, _Kept()), self._clock()
        if kept.metadata is not None and now - kept.metadata_at < FRESH_SECONDS:
            return kept.metadata
        try:
            url = provider.issuer.removesuffix("/") + WELL_KNOWN
            kept.metadata = read_metadata(await self._caller.get(url, "discovery"), provider)
            kept.metadata_at = now
        except ProviderUnavailable:
            if kept.metadata is None or now - kept.metadata_at >= STALE_SECONDS:
                raise
        return kept.metadata

    async def keys(self, provider: Provider, *, anew: bool = False) -> Keys:
        """Give the keys that a provider signs with, by `kid`, asked `anew` where one is not among those remembered."""
        kept, now = self._kept.setdefault(provider.name, _Kept()), self._clock()
        if not anew and kept.keys is not None and now - kept.keys_at < FRESH_SECONDS:
            return kept.keys
        try:
            metadata = await self.metadata(provider)
            kept.keys, kept.keys_at = read_keys(await self._caller.get(metadata.keys, "keys")), now
        except ProviderUnavailable:
            if anew or kept.keys is None or now - kept.keys_at >= STALE_SECONDS:
                raise
        return kept.keys


def read_metadata(said: Mapping[str, Any], provider: Provider) -> Metadata:
    """Read a discovery document; raises `ProviderDistrusted` for one of another issuer, or with other addresses than https."""
    if said.get("issuer") != provider.issuer:
        raise ProviderDistrusted("discovery is of another issuer")
    end_session = said.get("end_session_endpoint")
    metadata = Metadata(
        authorization=_address(said, "authorization_endpoint"),
        token=_address(said, "token_endpoint"),
        keys=_address(said, "jwks_uri"),
        pushed=_address(said, "pushed_authorization_request_endpoint") if provider.profile.pushed else None,
        end_session=None if end_session is None else _address(said, "end_session_endpoint"),
        says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
    )
    if "#" in metadata.authorization:
        raise ProviderDistrusted("discovery: authorization_endpoint has a fragment")
    return metadata


def _address(said: Mapping[str, Any], name: str) -> str:
    if not may_be_called(said.get(name)):
        raise ProviderDistrusted(f"discovery: {name} is missing, or is none to call")
    return str(said[name])


def read_keys(said: Mapping[str, Any]) -> Keys:
    """Read public signing keys by `kid`; others that stand among them are passed over. Raises `ProviderDistrusted`."""
    given = said.get("keys")
    if not isinstance(given, list) or len(given) > MOST_KEYS:
        raise ProviderDistrusted("keys are no JWK Set")
    found: dict[str, SigningKey] = {}
    for each in given:
        key = _key(each)
        if key is None:
            continue
        if key.kid in found:
            raise ProviderDistrusted("keys: one kid stands there twice")
        found[str(key.kid)] = key
    return found


def _key(given: object) -> SigningKey | None:
    if not isinstance(given, dict) or given.get("use", "sig") != "sig" or not isinstance(given.get("kid"), str):
        return None
    if given.get("kty") == "oct" or not given["kid"]:
        return None
    try:
        key = JWKRegistry.import_key(given)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        JoseError,
    ):
        return None
    return key if algorithm_of(key) is not None else None  # type: ignore[return-value]  # `algorithm_of` has looked.
