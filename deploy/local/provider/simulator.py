"""Simulator: an OpenID Connect provider as ID-porten is one, so far as a client can tell; what it knows is in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from deploy.local.provider.faults import Fault
from deploy.local.provider.people import Person
from deploy.local.provider.signing import Keys

PUSHED_SECONDS = 120
CODE_SECONDS = 60
TOKEN_SECONDS = 120
LEVELS = ("low", "substantial", "high")
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Client:
    """Who may ask the provider: with a public key, or with a secret."""

    id: str
    redirect_uris: tuple[str, ...]
    key: Mapping[str, Any] | None = None
    secret: str | None = None
    log_out_uris: tuple[str, ...] = ()
    front_channel: str | None = None
    """Where the client is told that a session is over."""


@dataclass(slots=True)
class Grant:
    """What a code stands for; it is taken once."""

    request: Mapping[str, str]
    person: Person
    acr: str
    session: str
    expires: float
    used: bool = False


class Refused(Exception):
    """An error of OAuth 2.0, by its name."""

    def __init__(self, error: str, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.error = error
        self.status = status


@dataclass(slots=True)
class Simulator:
    """The provider's state. `issuer` is its address, to the letter."""

    issuer: str
    clients: dict[str, Client] = field(default_factory=dict)
    faults: set[Fault] = field(default_factory=set)
    keys: Keys = field(default_factory=Keys)
    pushed: dict[str, tuple[Mapping[str, str], float]] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    sessions: dict[str, set[str]] = field(default_factory=dict)
    """Each session that is open with the clients that logged in by it."""
    assertions: set[str] = field(default_factory=set)

    def discovery(self) -> dict[str, Any]:
        """Say of itself what OpenID Connect Discovery wants said, or not quite."""
        base = self.issuer.removesuffix("/")
        said: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{base}/authorize",
            "pushed_authorization_request_endpoint": f"{base}/par",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/jwks",
            "end_session_endpoint": f"{base}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "frontchannel_logout_supported": True,
            "frontchannel_logout_session_supported": True,
        }
        if Fault.DISCOVERY_OTHER_ISSUER in self.faults:
            said["issuer"] = "https://other.example.no"
        if Fault.DISCOVERY_PLAIN_HTTP in self.faults:
            said["jwks_uri"] = "http://provider.example.no/jwks"
        if Fault.DISCOVERY_INCOMPLETE in self.faults:
            del said["token_endpoint"]
        return said

    def push(self, form: Mapping[str, str], basic: tuple[str, str] | None) -> dict[str, Any]:
        """Take a request (RFC 9126) and give the name under which it is good for two minutes."""
        client = self.authenticate(form, basic)
        request = self.check({**form, "client_id": client.id})
        uri = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(24)}"
        self.pushed[uri] = (request, time.time() + PUSHED_SECONDS)
        return {"request_uri": uri, "expires_in": PUSHED_SECONDS}

    def request_of(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """Find the request that a browser comes with: one that was pushed, once, or its parameters."""
        uri = query.get("request_uri")
        if uri is None:
            return self.check(query)
        request, expires = self.pushed.pop(uri, ({}, 0.0))
        if expires < time.time() or request.get("client_id") != query.get("client_id"):
            raise Refused("invalid_request", "no such request, or it is too old")
        return request

    def check(self, request: Mapping[str, str]) -> Mapping[str, str]:
        """Take a request that is complete and of a client that we know."""
        client = self.clients.get(request.get("client_id", ""))
        if client is None or request.get("redirect_uri") not in client.redirect_uris:
            raise Refused("invalid_request", "unknown client, or another redirect_uri than it has registered")
        if request.get("response_type") != "code" or "openid" not in request.get("scope", "").split():
            raise Refused("invalid_request", "response_type must be code, and scope hold openid")
        if request.get("code_challenge_method") != "S256" or len(request.get("code_challenge", "")) != 43:  # noqa: PLR2004
            raise Refused("invalid_request", "PKCE with S256 is mandatory")
        if not request.get("state") or not request.get("nonce"):
            raise Refused("invalid_request", "state and nonce are mandatory")
        return dict(request)

    def decide(self, request: Mapping[str, str], person: Person, acr: str) -> str:
        """Log a person in and give the address that the browser goes back to, or one that is not quite it."""
        session, code = secrets.token_urlsafe(16), secrets.token_urlsafe(24)
        self.grants[code] = Grant(request, person, acr, session, time.time() + CODE_SECONDS)
        self.sessions[session] = {request["client_id"]}
        said = [("code", code), ("state", request["state"]), ("iss", self.issuer)]
        return f"{request['redirect_uri']}?{urlencode(self._spoilt(said))}"

    def cancel(self, request: Mapping[str, str]) -> str:
        said = {"error": "access_denied", "state": request["state"], "iss": self.issuer}
        return f"{request['redirect_uri']}?{urlencode(said)}"

    def _spoilt(self, said: list[tuple[str, str]]) -> list[tuple[str, str]]:
        errors = {
            Fault.ANSWER_CANCELLED: "access_denied",
            Fault.ANSWER_AWAY: "temporarily_unavailable",
            Fault.ANSWER_UNKNOWN_ERROR: "<script>alert(1)</script>",
        }
        for fault in self.faults:
            if fault in errors:
                return [("error", errors[fault]), ("error_description", "<b>no</b>"), *said[1:]]
        others = {
            Fault.ANSWER_OTHER_ISSUER: ("iss", "https://other.example.no"),
            Fault.ANSWER_OTHER_STATE: ("state", "another-state"),
            Fault.ANSWER_OTHER_CODE: ("code", "another-code"),
        }
        gone = {
            Fault.ANSWER_NO_ISSUER: "iss",
            Fault.ANSWER_NO_STATE: "state",
            Fault.ANSWER_NO_CODE: "code",
        }
        for fault in self.faults:
            if fault in others:
                said = [others[fault] if pair[0] == others[fault][0] else pair for pair in said]
            if fault in gone:
                said = [pair for pair in said if pair[0] != gone[fault]]
            if fault is Fault.ANSWER_CODE_TWICE:
                said = [*said, ("code", "another-code")]
        return said

    def exchange(self, form: Mapping[str, str], basic: tuple[str, str] | None) -> dict[str, Any]:
        """Exchange a code, once, for the tokens of its client."""
        client = self.authenticate(form, basic)
        grant = self.grants.get(form.get("code", ""))
        if form.get("grant_type") != "authorization_code" or grant is None or grant.request["client_id"] != client.id:
            raise Refused("invalid_grant", "no such code")
        if grant.used or grant.expires < time.time() or form.get("redirect_uri") != grant.request["redirect_uri"]:
            raise Refused("invalid_grant", "used, too old, or of another redirect_uri")
        grant.used = True
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() != grant.request["code_challenge"]:
            raise Refused("invalid_grant", "another verifier than the one that it began with")
        if Fault.EXCHANGE_REFUSED in self.faults:
            raise Refused("invalid_grant", "as it was told to")
        access, kind = secrets.token_urlsafe(24), "Bearer"
        said = {"access_token": access, "token_type": kind, "expires_in": TOKEN_SECONDS}
        if Fault.EXCHANGE_BARE in self.faults:
            return said
        return {**said, "id_token": self._id_token(client, grant)}

    def _id_token(self, client: Client, grant: Grant) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": client.id,
            "sub": grant.person.subject(client.id),
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "auth_time": now,
            "nonce": grant.request["nonce"],
            "acr": grant.acr,
            "sid": grant.session,
            "pid": grant.person.number,
        }
        return self.keys.id_token(claims, self.faults)

    def authenticate(self, form: Mapping[str, str], basic: tuple[str, str] | None) -> Client:
        """Find the client that a form is from, by whichever way it has registered."""
        name, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
        client = self.clients.get(name)
        if client is None:
            raise Refused("invalid_client", "unknown client", 401)
        if client.key is not None:
            self._check_assertion(client, form)
        elif client.secret is None or not secrets.compare_digest(client.secret, secret or ""):
            raise Refused("invalid_client", "another secret", 401)
        return client

    def _check_assertion(self, client: Client, form: Mapping[str, str]) -> None:
        if form.get("client_assertion_type") != ASSERTION or client.key is None:
            raise Refused("invalid_client", "private_key_jwt is mandatory", 401)
        try:
            key = JWKRegistry.import_key(dict(client.key))
            claims = jwt.decode(form.get("client_assertion", ""), key, algorithms=["RS256", "ES256", "EdDSA"]).claims
        except (JoseError, ValueError) as error:
            raise Refused("invalid_client", f"an assertion that is not good: {type(error).__name__}", 401) from None
        if (claims.get("iss"), claims.get("sub"), claims.get("aud")) != (client.id, client.id, self.issuer):
            raise Refused("invalid_client", "iss, sub or aud of the assertion", 401)
        if (
            not time.time() < claims.get("exp", 0) <= time.time() + PUSHED_SECONDS
            or claims.get("jti") in self.assertions
        ):
            raise Refused("invalid_client", "an assertion that is too old, lives too long, or was used", 401)
        self.assertions.add(str(claims.get("jti")))

    def end(self, query: Mapping[str, str]) -> tuple[str | None, list[str]]:
        """End the session that an ID token hints at: where the browser goes back to, and whom its page tells (in frames)."""
        claims = _unchecked(query.get("id_token_hint", ""))
        client = self.clients.get(str(claims.get("aud")))
        if client is None or claims.get("iss") != self.issuer:
            raise Refused("invalid_request", "no id_token_hint of ours")
        told = self.end_session(str(claims.get("sid")))
        back_to = query.get("post_logout_redirect_uri")
        return (back_to if back_to in client.log_out_uris else None), told

    def end_session(self, session: str) -> list[str]:
        """End a session; gives the addresses that tell its clients so."""
        said = urlencode({"iss": self.issuer, "sid": session})
        clients = [self.clients[name] for name in sorted(self.sessions.pop(session, set()))]
        return [f"{client.front_channel}?{said}" for client in clients if client.front_channel]


def _unchecked(token: str) -> Mapping[str, Any]:
    """Read a token of our own back; a hint proves nothing, so nothing is checked."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, IndexError):
        raise Refused("invalid_request", "an id_token_hint that is none") from None
    return found if isinstance(found, dict) else {}
