"""Tickets: access tokens of people and systems who do not exist, and keys to sign them with."""

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from joserfc import jws

from chassis import signing, tokens
from chassis.access import Bearer
from chassis.signing import Key
from chassis.tokens import Assurance, Claims, Verifier
from chassis.voids import Voids

ISSUER = "https://auth.example.no"
SERVICE = "things"
KEY = signing.new_key("auth-1")
CANARY = "kari-nordmann-canary"
ORGANISATION = UUID("01980a3e-7c41-7d3a-9c0f-000000000001")


def claims(**changes: Any) -> Claims:
    """Say what a person's token says that is good for a minute from now."""
    now = datetime.now(UTC).replace(microsecond=0)
    right = Claims(
        issuer=ISSUER,
        audience=SERVICE,
        subject=str(uuid4()),
        client_id="browser",
        issued_at=now,
        expires_at=now + timedelta(seconds=60),
        token_id=str(uuid4()),
        session_id=uuid4(),
        epoch=(1 << 32) + 1,
        organisation_id=ORGANISATION,
        rights=frozenset({"things.read"}),
        assurance=Assurance.LOW,
        terms={"privacy": "2"},
    )
    return replace(right, **changes)


def of_system(**changes: Any) -> Claims:
    """Say what a system's token says."""
    return claims(**{"subject": "system:shop", "client_id": "shop", "session_id": None, "epoch": None} | changes)


def token(key: Key = KEY, **changes: Any) -> str:
    return tokens.sign(claims(**changes), key)


def carried(text: str) -> dict[str, str]:
    """Give the header that a token travels in."""
    return {"Authorization": f"Bearer {text}"}


def verifier(**changes: Any) -> Verifier:
    return Verifier({str(KEY.kid): KEY}, **{"issuer": ISSUER, "audience": SERVICE} | changes)


def bearer(voids: Voids | None = None) -> Bearer:
    """Make what knows callers by these tokens; none is void unless the mirror says so."""
    if voids is None:
        voids = Voids()
        voids.update((), {})
    return Bearer(verifier(), voids)


def key_file(folder: Path, *keys: Key) -> Path:
    """Write the public key set that services are told of."""
    path = folder / "tokens.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys or (KEY,)]}), encoding="utf-8")
    return path


def body(**changes: Any) -> dict[str, Any]:
    """Write the claims of a token that is good, as they lie in it; `...` takes one away."""
    now = int(time.time())
    right = {
        "iss": ISSUER,
        "aud": SERVICE,
        "sub": str(uuid4()),
        "client_id": "browser",
        "iat": now,
        "exp": now + 60,
        "jti": CANARY,
        "sid": str(uuid4()),
        "epoch": 4_294_967_297,
        "org": str(uuid4()),
        "rights": ["things.read"],
        "acr": "low",
        "terms": {},
    }
    return {name: value for name, value in (right | changes).items() if value is not ...}


def signed(header: object, content: object, key: Any = KEY, algorithm: str = "Ed25519") -> str:
    """Sign any two parts, bytes as they are and else as JSON, which no library would write."""
    parts = f"{encoded(header)}.{encoded(content)}"
    signature = jws.JWSRegistry(algorithms=[algorithm]).get_alg(algorithm).sign(parts.encode(), key)
    return f"{parts}.{encoded(signature)}"


def encoded(part: object) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
