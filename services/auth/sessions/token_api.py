"""The HTTP edge of tokens for programs: OAuth 2.0's token endpoint (RFC 6749), what it is like (RFC 8414), and its keys."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl
from uuid import UUID

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis import access, problems, scope
from chassis.bodies import FORM, JSON
from chassis.errors import Refusal
from chassis.failpoints import reach
from chassis.jwks import JwkSet
from chassis.openapi import Responses
from chassis.postgres import Connection
from chassis.signing import ALGORITHMS
from services.auth.front import Front
from services.auth.sessions import access_tokens, assertions, refresh_tokens, store
from services.auth.sessions.access_tokens import AccessToken
from services.auth.sessions.assertions import LONGEST_SECONDS, NotProven
from services.auth.sessions.errors import (
    ClientNotProven,
    OrganisationNotAllowed,
    RefreshRefused,
    UnknownAudience,
    UnknownGrant,
    UnreadableForm,
)
from services.auth.sessions.token_keys import Signer
from services.auth.terms import terms
from services.auth.terms.errors import TermsPending

log = structlog.get_logger()

PATH = "/v1/oauth/token"
KEYS_PATH = "/.well-known/token-keys.json"
BEARER_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MOST_PARAMETERS = 20
ERRORS: Mapping[type[Refusal], tuple[str, int]] = {
    UnreadableForm: ("invalid_request", 400),
    UnknownGrant: ("unsupported_grant_type", 400),
    ClientNotProven: ("invalid_client", 401),
    RefreshRefused: ("invalid_grant", 400),
    UnknownAudience: ("invalid_target", 400),
    OrganisationNotAllowed: ("invalid_target", 400),
    TermsPending: ("access_denied", 400),
}
"""What is declined here, by OAuth's names (RFC 6749, 5.2; RFC 8707; RFC 8628)."""


_BEARER = "Bearer"
_JWT = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJhdWQiOiJ1bmlvbmZlZXMifQ.c2lnbmF0dXJl"
_CHAIN = "0199a3e2-7c41-7d3a-9c0f-000000000004.2.Kq3Wc9nD5fYt7Lx0RbVgHs1mZaPuEjOiXyTrQwNv8B4"


class TokenForm(BaseModel):
    """What a program sends, form-encoded; which parameters are needed depends on the grant."""

    model_config = ConfigDict(
        extra="ignore",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [{"grant_type": "refresh_token", "audience": "unionfees", "refresh_token": _CHAIN}]
        },
    )

    grant_type: Annotated[str, Field(max_length=100, examples=["client_credentials"])]
    audience: Annotated[str, Field(max_length=100, description="the service that the token is for")]
    refresh_token: Annotated[str, Field(max_length=200, description="for refresh_token")] = ""
    client_assertion_type: Annotated[str, Field(max_length=100, description=f"`{BEARER_ASSERTION}`")] = ""
    client_assertion: Annotated[str, Field(max_length=assertions.LARGEST, description="for client_credentials")] = ""
    client_id: Annotated[str, Field(max_length=100, description="may be left out; else the assertion's `sub`")] = ""
    organisation_id: Annotated[UUID | None, Field(description="for client_credentials: whom the system acts for")] = (
        None
    )


class Granted(BaseModel):
    """An access token, and for a refresh token its successor."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "access_token": _JWT,
                "token_type": _BEARER,
                "expires_in": 60,
                "refresh_token": _CHAIN,
            }
        }
    )
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str | None = None


class OAuthError(BaseModel):
    """What is declined, as RFC 6749 says it."""

    error: str
    error_description: str


class Metadata(BaseModel):
    """What this authorization server does (RFC 8414)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "issuer": "https://auth.example.no",
                "token_endpoint": f"https://auth.example.no{PATH}",
                "jwks_uri": f"https://auth.example.no{KEYS_PATH}",
                "grant_types_supported": ["refresh_token", "client_credentials"],
                "response_types_supported": [],
                "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES256", "Ed25519"],
            }
        }
    )
    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]


def router(front: Front, signer: Signer) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["tokens"])
    _add_token_endpoint(routes, _Endpoint(front, signer))
    _add_description(routes, signer)
    return routes


class _Endpoint:
    """What the token endpoint is served with."""

    def __init__(self, front: Front, signer: Signer) -> None:
        self._front = front
        self._signer = signer
        self._names = (signer.issuer, signer.issuer + PATH)

    async def grant(self, form: TokenForm) -> Granted:
        """Give the tokens that a form asks for; raises one of `ERRORS`."""
        match form.grant_type:
            case "refresh_token":
                return await self._refresh(form)
            case "client_credentials":
                return await self._sign_in(form)
            case _:
                raise UnknownGrant

    async def _refresh(self, form: TokenForm) -> Granted:
        granted = None
        async with self._front.database.transaction() as conn:
            rotated = await refresh_tokens.rotate(conn, form.refresh_token, keys=self._front.keys)
            if rotated is not None:
                issued = await access_tokens.issue(
                    conn, rotated.session, form.audience, signer=self._signer, chance=self._front.chance
                )
                granted = _granted(issued, rotated.token)
        if granted is None:  # A copy was used: that the chain and its session have ended is durable now.
            raise RefreshRefused
        return granted

    async def _sign_in(self, form: TokenForm) -> Granted:
        async with self._front.database.transaction() as conn:
            system = (await self._proven(conn, form)).system
            issued = await access_tokens.issue_to_system(
                conn, system, form.audience, form.organisation_id, signer=self._signer, chance=self._front.chance
            )
            reach("clients.signed_in")
        log.info("system_signed_in", system=system.name, audience=form.audience)
        return _granted(issued)

    async def _proven(self, conn: Connection, form: TokenForm) -> assertions.Assertion:
        identity = self._front.database.identity
        if form.client_assertion_type != BEARER_ASSERTION:
            raise ClientNotProven
        try:
            assertion = assertions.prove(form.client_assertion, identity.systems, self._names)
        except NotProven as error:
            log.info("client_assertion_refused", reason=str(error))
            raise ClientNotProven from None
        if form.client_id not in {"", assertion.system.name}:  # RFC 7521, 4.2.
            raise ClientNotProven
        taken = await store.insert_assertion(
            conn,
            assertion.system.name,
            assertion.token_id,
            expires=assertion.expires,
            not_before=assertion.not_before,
            within_seconds=LONGEST_SECONDS,
            skew=identity.clock_skew,
        )
        if not taken:
            log.info("client_assertion_refused", reason="used before, or out of time", system=assertion.system.name)
            raise ClientNotProven
        return assertion


def _granted(issued: AccessToken, refresh_token: str | None = None) -> Granted:
    return Granted(
        access_token=issued.token, token_type=_BEARER, expires_in=issued.seconds, refresh_token=refresh_token
    )


def parse_form(body: bytes) -> TokenForm:
    """Read a form in which each parameter stands once; raises `UnreadableForm`."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
        given = dict(pairs)
        if len(given) != len(pairs) or any("\0" in text for pair in pairs for text in pair):
            raise UnreadableForm
        # RFC 6749, 3.2: a parameter without a value is as if it were not there.
        return TokenForm.model_validate({name: value for name, value in given.items() if value})
    except (ValueError, ValidationError):
        raise UnreadableForm from None


def _add_token_endpoint(routes: APIRouter, endpoint: _Endpoint) -> None:
    form = {"content": {FORM: {"schema": TokenForm.model_json_schema()}}, "required": True}

    @routes.post(
        PATH,
        response_model=Granted,
        response_model_exclude_none=True,
        summary="Give tokens to a program",
        responses=_documented(),
        openapi_extra={"requestBody": form},
        dependencies=[
            access.anyone("A program shows by its refresh token, or its assertion, who it is.", sees=scope.SYSTEM)
        ],
    )
    async def give_tokens(request: Request) -> Response:
        """Exchange a refresh token for its successor and an access token, or sign in a system by its assertion (RFC 7523)."""
        try:
            granted = await endpoint.grant(parse_form(await request.body()))
        except tuple(ERRORS) as refusal:
            return _declined(refusal)
        return Response(granted.model_dump_json(exclude_none=True), media_type=JSON)


def _documented() -> Responses:
    """Describe what is declined by OAuth's names: an answer for each status, in it an example for each refusal."""
    responses: Responses = {}
    for refusal, (error, status) in ERRORS.items():
        text = problems.say(refusal(terms="unionfees.confidentiality", where=terms.WHERE))
        example = {"summary": error, "value": {"error": error, "error_description": text}}
        response = responses.setdefault(
            status, {"model": OAuthError, "description": "Declined.", "content": {JSON: {"examples": {}}}}
        )
        response["content"][JSON]["examples"][problems.type_of(refusal).rpartition(":")[2]] = example
    challenge = {"description": "`Bearer`, with the `error` (RFC 6749, 5.2).", "schema": {"type": "string"}}
    responses[401]["headers"] = {"WWW-Authenticate": challenge}
    return responses


def _declined(refusal: Refusal) -> Response:
    error, status = ERRORS[type(refusal)]
    headers = {"WWW-Authenticate": f'Bearer error="{error}"'} if status == 401 else {}  # noqa: PLR2004 -- RFC 9110.
    content = OAuthError(error=error, error_description=problems.say(refusal)).model_dump_json()
    return Response(content, status, headers=headers, media_type=JSON)


def _add_description(routes: APIRouter, signer: Signer) -> None:
    metadata = Metadata(
        issuer=signer.issuer,
        token_endpoint=signer.issuer + PATH,
        jwks_uri=signer.issuer + KEYS_PATH,
        grant_types_supported=["refresh_token", "client_credentials"],
        response_types_supported=[],
        token_endpoint_auth_methods_supported=["private_key_jwt", "none"],
        token_endpoint_auth_signing_alg_values_supported=sorted(ALGORITHMS.values()),
    )
    keys = JwkSet(keys=[dict(key.as_dict(private=False)) for key in signer.public.values()])
    public = access.anyone("What programs must know before they can sign in.")

    @routes.get(
        "/.well-known/oauth-authorization-server",
        summary="Say where tokens are given, and how (RFC 8414)",
        dependencies=[public],
    )
    async def show_metadata() -> Metadata:
        return metadata

    @routes.get(KEYS_PATH, summary="Give the public keys that access tokens are signed with", dependencies=[public])
    async def show_token_keys() -> JwkSet:
        return keys
