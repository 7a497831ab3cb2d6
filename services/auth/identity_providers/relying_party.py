"""Relying party: the OpenID Connect client that all providers share (authorization code, PKCE, RFC 9126, RFC 9207).

State, nonce and PKCE verifier come of one secret, which goes to the provider as `state` and comes back by the browser; what
is kept here is its digest. Nonce and verifier are keyed digests of it and of the browser, so none of the three is good in
another browser, and whoever reads the database has none of them.
"""

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
from joserfc import jwt
from pydantic import SecretStr

from chassis.texts import Language
from chassis.tokens import Assurance
from services.auth.identity_providers import id_tokens
from services.auth.identity_providers.calls import Caller
from services.auth.identity_providers.discovery import Directory, Metadata
from services.auth.identity_providers.errors import LogInCancelled, ProviderDistrusted, ProviderUnavailable
from services.auth.identity_providers.id_tokens import Expected, Proven, UnknownKey
from services.auth.identity_providers.profiles import Authentication, Provider, algorithm_of
from services.auth.keys import Chance, Keys

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
CANCELLED = frozenset({"access_denied", "login_required", "interaction_required", "consent_required"})
AWAY = frozenset({"temporarily_unavailable", "server_error"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """A log-in on its way: the secret that the browser carries, and the browser that it is good in."""

    state: str
    browser: str
    keys: Keys

    @property
    def nonce(self) -> str:
        return _text(self.keys.digest("oidc-nonce", self.state, self.browser))

    @property
    def verifier(self) -> str:
        return _text(self.keys.digest("oidc-verifier", self.state, self.browser))

    @property
    def challenge(self) -> str:
        return _text(hashlib.sha256(self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brings back from the provider; None for what was not there."""

    code: str | None = None
    issuer: str | None = None
    error: str | None = None


class RelyingParty:
    """Speaks with providers; keeps nothing but what they say of themselves. No transaction is open while it speaks."""

    def __init__(self, caller: Caller, chance: Chance, *, base_url: str) -> None:
        self._caller = caller
        self._chance = chance
        self._base_url = base_url.rstrip("/")
        self._directory = Directory(caller)

    def redirect_uri(self, provider: Provider) -> str:
        """Give where a provider sends the browser back to: of the settings alone, and registered there to the letter."""
        return f"{self._base_url}/v1/identity-providers/{provider.name}/callback"

    async def begin(self, provider: Provider, attempt: Attempt, wanted: Assurance, language: Language) -> str:
        """Give the address that the browser goes to; raises `ProviderUnavailable`, `ProviderDistrusted`."""
        metadata = await self._directory.metadata(provider)
        request = self._request(provider, attempt, wanted, language)
        if metadata.pushed is not None:
            request = await self._pushed(provider, metadata.pushed, request)
        joint = "&" if "?" in metadata.authorization else "?"
        return f"{metadata.authorization}{joint}{urlencode(request)}"

    async def finish(self, provider: Provider, attempt: Attempt, answer: Answer, wanted: Assurance) -> Proven:
        """Exchange what the browser brings back for who logged in; raises `LogInFailed` of every kind."""
        metadata = await self._directory.metadata(provider)
        _check_issuer(provider, metadata, answer)
        if answer.error is not None:
            raise _failure(answer.error)
        if answer.code is None:
            raise ProviderDistrusted("the answer has no code")
        token = await self._exchange(provider, metadata, attempt, answer.code)
        expected = Expected(attempt.nonce, wanted, time.time())
        try:
            return id_tokens.prove(token, provider, await self._directory.keys(provider), expected)
        except UnknownKey:  # It may have changed since it was asked: once.
            return id_tokens.prove(token, provider, await self._directory.keys(provider, anew=True), expected)

    async def log_out_url(self, provider: Provider, token: str, back_to: str) -> str | None:
        """Give where the browser goes to end the provider's session too; None for a provider that has no such place."""
        metadata = await self._directory.metadata(provider)
        if metadata.end_session is None:
            return None
        said = {"id_token_hint": token, "post_logout_redirect_uri": self._base_url + back_to}
        joint = "&" if "?" in metadata.end_session else "?"
        return f"{metadata.end_session}{joint}{urlencode(said)}"

    def _request(self, provider: Provider, attempt: Attempt, wanted: Assurance, language: Language) -> dict[str, str]:
        profile = provider.profile
        request = {
            "response_type": "code",
            "client_id": profile.client_id,
            "redirect_uri": self.redirect_uri(provider),
            "scope": " ".join(profile.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        if acr_values := profile.acr_for(wanted):
            request["acr_values"] = " ".join(acr_values)
        if language in profile.ui_locales:
            request["ui_locales"] = profile.ui_locales[language]
        return request

    async def _pushed(self, provider: Provider, url: str, request: Mapping[str, str]) -> dict[str, str]:
        status, said = await self._post(provider, url, "pushed request", request)
        uri = said.get("request_uri")
        if status != httpx2.codes.CREATED or not isinstance(uri, str) or not uri.isascii():
            raise ProviderDistrusted(f"pushed request: {_error(said)}")
        return {"client_id": provider.profile.client_id, "request_uri": uri}

    async def _exchange(self, provider: Provider, metadata: Metadata, attempt: Attempt, code: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri(provider),
            "code_verifier": attempt.verifier,
        }
        status, said = await self._post(provider, metadata.token, "token", form)
        if status != httpx2.codes.OK:
            raise ProviderDistrusted(f"token: {_error(said)}")
        token = said.get("id_token")
        if not isinstance(token, str):
            raise ProviderDistrusted("token: no id_token")
        return token

    async def _post(
        self, provider: Provider, url: str, what: str, form: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]]:
        """Send a form with what proves us to the provider (OpenID Connect Core, 9)."""
        profile = provider.profile
        secret = provider.secret or SecretStr("")
        match profile.authentication:
            case Authentication.PRIVATE_KEY:
                proof = {"client_assertion_type": ASSERTION, "client_assertion": self._assertion(provider)}
                return await self._caller.post(url, what, {**form, "client_id": profile.client_id, **proof})
            case Authentication.SECRET_POST:
                proof = {"client_id": profile.client_id, "client_secret": secret.get_secret_value()}
                return await self._caller.post(url, what, {**form, **proof})
            case Authentication.SECRET_BASIC:
                basic = (_form(profile.client_id), _form(secret.get_secret_value()))
                return await self._caller.post(url, what, form, basic)

    def _assertion(self, provider: Provider) -> str:
        """Sign that we are the provider's client: for it alone, once, for a minute (RFC 7523)."""
        key = provider.key
        assert key is not None  # noqa: S101 -- the profile has been checked.
        now = int(time.time())
        algorithm = algorithm_of(key)
        header = {"alg": algorithm, "kid": key.kid}
        claims = {
            "iss": provider.profile.client_id,
            "sub": provider.profile.client_id,
            "aud": provider.issuer,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": self._chance.token(),
        }
        return jwt.encode(header, claims, key, algorithms=[str(algorithm)])


def state_digest(keys: Keys, state: str) -> bytes:
    """Digest the secret of a log-in, by which it is found again."""
    return keys.digest("oidc-state", state)


def _check_issuer(provider: Provider, metadata: Metadata, answer: Answer) -> None:
    """Take an answer of this provider alone (RFC 9207): another one's code must not come to it."""
    if answer.issuer is None and not (metadata.says_issuer or provider.profile.response_issuer):
        return
    if answer.issuer != provider.issuer:
        raise ProviderDistrusted("the answer is another issuer's, or says none")


def _failure(error: str) -> LogInCancelled | ProviderUnavailable | ProviderDistrusted:
    if error in CANCELLED:
        return LogInCancelled("cancelled")
    if error in AWAY:
        return ProviderUnavailable("the answer says that it is away")
    return ProviderDistrusted("the answer is an error")


def _error(said: Mapping[str, Any]) -> str:
    """Name an error of OAuth 2.0, if it is one that is known: what is said may hold anything."""
    error = said.get("error")
    known = {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope"}
    return error if isinstance(error, str) and error in known else "an answer that is none"


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _form(text: str) -> str:
    """Encode as RFC 6749, 2.3.1 wants it before basic authentication."""
    return urlencode({"": text})[1:]
