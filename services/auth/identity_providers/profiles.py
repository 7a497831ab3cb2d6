"""Profiles: each provider as a file that an operator mounts; what differs between providers stands there, not in code.

`<folder>/<name>.json`; docs/identity-providers.md goes through it. Keys and secrets stand in files of their own, in the folder
`keys` beside it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from chassis.errors import Misconfigured
from chassis.texts import Language
from chassis.tokens import Assurance

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SMALLEST_RSA = 2048
SigningKey = RSAKey | ECKey | OKPKey
Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
"""What a provider may sign with: never with a secret that both know, and never not at all."""
Word = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,200}$")]
"""What stands between spaces in OAuth 2.0 (RFC 6749, appendix A)."""


class Authentication(StrEnum):
    """How we prove to the provider that we are its client (OpenID Connect Core, 9)."""

    PRIVATE_KEY = "private_key_jwt"
    SECRET_POST = "client_secret_post"  # noqa: S105 -- the name of a way. # nosec B105
    SECRET_BASIC = "client_secret_basic"  # noqa: S105 -- as above. # nosec B105


class Titles(BaseModel):
    """What the provider is called on the page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nb: Annotated[str, Field(min_length=1, max_length=100)]
    nn: Annotated[str, Field(min_length=1, max_length=100)]
    en: Annotated[str, Field(min_length=1, max_length=100)]

    def of(self, language: Language) -> str:
        return str(getattr(self, language.value))


class Profile(BaseModel):
    """All that is known of a provider before it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: Annotated[
        str, Field(max_length=255, description="as its tokens and its discovery document say, to the letter")
    ]
    client_id: Annotated[str, Field(min_length=1, max_length=255)]
    titles: Titles
    authentication: Authentication = Authentication.PRIVATE_KEY
    key: Annotated[str | None, Field(description="file in keys/ with the private JWK")] = None
    secret: Annotated[str | None, Field(description="file in keys/ with the secret")] = None
    scopes: Annotated[tuple[Word, ...], Field(description="asked for; must hold openid")] = ("openid",)
    assurance: Annotated[
        dict[Word, Assurance], Field(min_length=1, description="each acr that counts, and how sure it is")
    ]
    acr_values: Annotated[tuple[Word, ...], Field(description="asked for, of those in assurance; none by default")] = ()
    without_acr: Annotated[Assurance | None, Field(description="how sure it is where no acr is told; null refuses")] = (
        None
    )
    pushed: Annotated[bool, Field(description="the request is pushed (RFC 9126), or nobody is sent there")] = True
    response_issuer: Annotated[bool, Field(description="the answer must say `iss` (RFC 9207)")] = True
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256",)
    number_claim: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    number_required: Annotated[bool, Field(description="nobody gets in without an identity number")] = False
    synthetic: Annotated[bool, Field(description="test persons' numbers are taken: never where real people are")] = (
        False
    )
    ui_locales: Annotated[dict[Language, Word], Field(default_factory=dict)]
    front_channel_logout: Annotated[bool, Field(description="it ends our sessions when its own end")] = False
    clock_skew_seconds: Annotated[float, Field(ge=0, le=300)] = 60

    @field_validator("issuer")
    @classmethod
    def _is_ours_to_call(cls, value: str) -> str:
        if not may_be_called(value) or "?" in value or "#" in value:
            raise ValueError("must be an https address without query and fragment")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        if unknown := set(self.acr_values) - self.assurance.keys():
            raise ValueError(f"acr_values names what assurance does not: {', '.join(sorted(unknown))}")
        if self.number_required and self.number_claim is None:
            raise ValueError("number_required needs number_claim")
        needed = ("key", "secret") if self.authentication is Authentication.PRIVATE_KEY else ("secret", "key")
        if getattr(self, needed[0]) is None or getattr(self, needed[1]) is not None:
            raise ValueError(f"{self.authentication.value} needs {needed[0]}, and no {needed[1]}")
        return self

    def assurance_of(self, acr: str | None) -> Assurance | None:
        """Say how sure an answer is; None where its acr is none that counts."""
        return self.without_acr if acr is None else self.assurance.get(acr)

    def acr_for(self, wanted: Assurance) -> tuple[str, ...]:
        """Give the acr values to ask for, so that the answer is as sure as is wanted."""
        return tuple(acr for acr in self.acr_values if self.assurance[acr].reaches(wanted))


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider with what proves us to it."""

    name: str
    profile: Profile
    key: SigningKey | None = None
    secret: SecretStr | None = None

    @property
    def issuer(self) -> str:
        return self.profile.issuer


class Providers:
    """All providers that people may log in by, in the order of their names."""

    def __init__(self, providers: Mapping[str, Provider] | None = None) -> None:
        self._providers = dict(providers or {})

    @classmethod
    def load(cls, folder: Path | None) -> Self:
        """Read `<folder>/<name>.json` of each; without a folder there is none.

        Raises `Misconfigured` naming the file for one that is not right, or two of one issuer.
        """
        if folder is None:
            return cls()
        if not folder.is_dir():
            raise Misconfigured(f"the folder of identity providers {folder} does not exist")
        found = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
        owners: dict[str, str] = {}
        for name, provider in found.items():
            if (owner := owners.setdefault(provider.issuer, name)) != name:
                raise Misconfigured(f"{folder}: {owner} and {name} have one issuer; an identity is known by its issuer")
        return cls(found)

    def find(self, name: str) -> Provider | None:
        return self._providers.get(name)

    def of_issuer(self, issuer: str) -> Provider | None:
        return next((each for each in self if each.issuer == issuer), None)

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._providers.values())


def may_be_called(url: object) -> bool:
    """Tell whether an address is one that we send anything to: https, or plain http to this very machine."""
    if not isinstance(url, str) or len(url) > 2_000 or not url.isascii() or any(c.isspace() for c in url):  # noqa: PLR2004
        return False
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- reading it checks it.
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _read(path: Path) -> Provider:
    if not NAME.fullmatch(path.stem):
        raise Misconfigured(f"{path}: a provider is named by lower-case letters, digits and hyphens")
    try:
        profile = Profile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"the identity provider {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise Misconfigured(f"{path} is not an identity provider's file: {faults}") from None
    key = None if profile.key is None else _read_key(path.parent / "keys" / _plain(path, profile.key))
    secret = None if profile.secret is None else _read_secret(path.parent / "keys" / _plain(path, profile.secret))
    return Provider(path.stem, profile, key, secret)


def _plain(path: Path, name: str) -> str:
    if Path(name).name != name:
        raise Misconfigured(
            f"{path}: keys and secrets are named without a folder; they lie in keys/ beside the profile"
        )
    return name


def _read_key(path: Path) -> SigningKey:
    try:
        key = JWKRegistry.import_key(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise Misconfigured(f"the key {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, JoseError) as error:
        raise Misconfigured(f"{path} is no JWK (RFC 7517): {type(error).__name__}") from None
    if not isinstance(key, RSAKey | ECKey | OKPKey) or not key.is_private or not key.kid or algorithm_of(key) is None:
        raise Misconfigured(f"{path} must be a private RSA (2048 bits or more), P-256 or Ed25519 key with a `kid`")
    return key


def _read_secret(path: Path) -> SecretStr:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the secret {path} cannot be read: {type(error).__name__}") from None
    if not text:
        raise Misconfigured(f"{path} holds no secret")
    return SecretStr(text)


def algorithm_of(key: object) -> str | None:
    """Give the algorithm that a key signs with; None for one that is not taken."""
    match key:
        case RSAKey() if key.raw_value.key_size >= SMALLEST_RSA:
            return "RS256"
        case ECKey() if key.curve_name == "P-256":
            return "ES256"
        case OKPKey() if key.curve_name == "Ed25519":
            return "EdDSA"
        case _:
            return None
