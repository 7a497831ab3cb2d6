"""Settings of auth."""

import base64
import binascii
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, HttpUrl, SecretStr, field_validator

from chassis.settings import ServiceSettings

PagePath = Annotated[str, Field(max_length=200, pattern=r"^/([a-z0-9._-][a-z0-9._/-]*)?$")]
Network = IPv4Network | IPv6Network


class AuthSettings(ServiceSettings):
    """What auth reads besides; limits are those of sec-A2 and sec-A4."""

    code_key: Annotated[
        SecretStr, Field(description="base64 of 32 bytes or more; digests of codes, addresses and tokens")
    ]
    password_pepper: Annotated[
        SecretStr,
        Field(description="base64 of 32 bytes or more, another than the code key; without it no hash is any use"),
    ]
    password_words: Annotated[
        tuple[str, ...], Field(description="JSON list of words that no password may be made of: names of organisations")
    ] = ()
    tries_in_a_row: Annotated[int, Field(ge=1, le=10, description="wrong passwords in a row before the block")] = 5
    block_minutes: Annotated[int, Field(ge=1, le=60, description="how long the block after them lasts")] = 15
    reset_lifts_block: Annotated[
        bool, Field(description="a new password may be ordered while blocked, and lifts the block")
    ] = False
    code_minutes: Annotated[int, Field(ge=1, le=10)] = 10
    codes_per_quarter: Annotated[int, Field(ge=1, description="codes mailed to one address in 15 minutes")] = 3
    tries_per_code: Annotated[int, Field(ge=1, le=5)] = 5
    tries_per_quarter: Annotated[int, Field(ge=1, le=10, description="tries for one address in 15 minutes")] = 10
    failures_per_day: Annotated[int, Field(ge=1, le=20, description="wrong codes for one address in a day")] = 20
    source_limit: Annotated[int, Field(ge=1, description="codes asked for from one network address in an hour")] = 300
    known_networks: Annotated[
        dict[Network, int],
        Field(default_factory=dict, description='JSON, e.g. {"10.1.0.0/16": 5000}: their own limits'),
    ]
    trusted_proxies: Annotated[
        tuple[Network, ...], Field(description="JSON list of networks whose Forwarded header counts")
    ] = ()
    token_private_keys: Annotated[
        Path,
        Field(description="file with the private JWK Set that access tokens are signed with, the key in use first"),
    ]
    access_token_seconds: Annotated[int, Field(ge=1, le=300, description="how long an access token lives")] = 60
    union_name: Annotated[str | None, Field(min_length=1, max_length=200, description="what terms call the union")] = (
        None
    )
    access_orders_per_hour: Annotated[int, Field(ge=1, description="orders for access from one network address")] = 20
    keep_orders_days: Annotated[int, Field(ge=1, description="days until an order for access is forgotten")] = 90
    identity_providers: Annotated[
        Path | None, Field(description="folder with <name>.json of every provider of electronic IDs; none by default")
    ] = None
    identity_keys: Annotated[
        Path | None,
        Field(description="file with the JWK Set that identity numbers are encrypted with; needed with a provider"),
    ] = None
    public_url: Annotated[
        HttpUrl | None,
        Field(description="where browsers reach auth's routes and the pages; needed with a provider"),
    ] = None
    log_in_page: Annotated[PagePath, Field(description="path of the page to log in on")] = "/log-in"
    link_page: Annotated[PagePath, Field(description="path of the page that asks for the e-mail of a new identity")] = (
        "/link-identity"
    )
    mail_sender: Annotated[str, Field(description="shown on the page: where the code comes from")] = (
        "ikkesvar@example.no"
    )

    @field_validator("code_key", "password_pepper")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        try:
            key = base64.b64decode(value.get_secret_value(), validate=True)
        except binascii.Error:
            raise ValueError("must be base64") from None
        if len(key) < 32:  # noqa: PLR2004 -- SHA-256's own size.
            raise ValueError("must hold 32 bytes or more")
        return value
