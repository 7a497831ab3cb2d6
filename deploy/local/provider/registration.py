"""Registration: auth and the simulator told of each other, in the files that an operator would write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, OctKey

from deploy.local.provider.simulator import Client

NAME, CLIENT = "id-porten", "samband"
LINK_PAGE = "/v1/identity-links"
PROFILE: Mapping[str, Any] = {
    "client_id": CLIENT,
    "titles": {"nb": "ID-porten", "nn": "ID-porten", "en": "ID-porten"},
    "key": f"{NAME}.json",
    "scopes": ["openid", "profile"],
    "assurance": {"substantial": "substantial", "high": "high"},
    "acr_values": ["substantial", "high"],
    "number_claim": "pid",
    "number_required": True,
    "synthetic": True,
    "ui_locales": {"nb": "nb", "nn": "nn", "en": "en"},
    "front_channel_logout": True,
}


@dataclass(frozen=True, slots=True)
class Registration:
    """Where both find what they are told."""

    issuer: str
    client: Path
    """What the simulator knows of auth."""
    settings: Mapping[str, str]
    """What auth's environment says of it."""


def register(folder: Path, *, issuer: str, public_url: str) -> Registration:
    """Write what both are told: keys of their own, and addresses of each other."""
    key = ECKey.generate_key("P-256", {"kid": "samband-1", "use": "sig"}, private=True)
    numbers = OctKey.generate_key(256, {"kid": "identities-1", "use": "enc"}, private=True)
    providers = folder / "providers"
    for path, content in (
        (providers / f"{NAME}.json", {"issuer": issuer, **PROFILE}),
        (providers / "keys" / f"{NAME}.json", key.as_dict(private=True)),
        (folder / "identity-keys.json", {"keys": [numbers.as_dict(private=True)]}),
        (folder / "provider-client.json", asdict(_client(key, public_url))),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        path.chmod(0o600)
    settings = {
        "SAMBAND_IDENTITY_PROVIDERS": str(providers),
        "SAMBAND_IDENTITY_KEYS": str(folder / "identity-keys.json"),
        "SAMBAND_PUBLIC_URL": public_url,
        "SAMBAND_LINK_PAGE": LINK_PAGE,
    }
    return Registration(issuer, folder / "provider-client.json", settings)


def read_client(path: Path) -> Client:
    """Read what the simulator is told of its client."""
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    lists: dict[str, Any] = {name: tuple(said.pop(name)) for name in ("redirect_uris", "log_out_uris")}
    return Client(**said, **lists)


def _client(key: ECKey, public_url: str) -> Client:
    routes = f"{public_url}/v1/identity-providers/{NAME}"
    return Client(
        CLIENT,
        (f"{routes}/callback",),
        key=key.as_dict(private=False),
        log_out_uris=(f"{public_url}/log-in",),
        front_channel=f"{routes}/front-channel-logout",
    )
