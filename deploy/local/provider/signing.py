"""Signing: the simulator's keys, and ID tokens: right ones, and wrong ones where a fault is on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Collection, Mapping
from typing import Any

from joserfc import jws
from joserfc.jwk import RSAKey
from joserfc.registry import HeaderParameter

from deploy.local.provider.faults import CLAIMS, Fault

_NUMBERS = itertools.count(1)
_REGISTRY = jws.JWSRegistry(
    header_registry={"example": HeaderParameter("Of no meaning", "str")},
    algorithms=["RS256"],
    strict_check_header=False,
)


class Keys:
    """The keys that the provider signs with: the newest signs, the one before is still published."""

    def __init__(self) -> None:
        self._keys = [_new_key()]

    def rotate(self, *, keep: bool = True) -> None:
        """Sign with a new key from now on; without `keep` the old one is published no more."""
        self._keys = [_new_key(), *(self._keys[:1] if keep else [])]

    def published(self, faults: Collection[Fault]) -> dict[str, Any]:
        public = [{**key.as_dict(private=False), "alg": "RS256"} for key in self._keys]
        if Fault.KEYS_NONE in faults:
            public = []
        if Fault.KEYS_TWICE in faults:
            public = [*public, {**_new_key().as_dict(private=False), "kid": public[0]["kid"]}]
        return {"keys": public}

    def id_token(self, claims: Mapping[str, Any], faults: Collection[Fault]) -> str:
        """Sign what is said, and spoil it as the faults want."""
        said = dict(claims)
        for fault in faults:
            if fault in CLAIMS:
                CLAIMS[fault](said)
        content = json.dumps(said)
        if Fault.CLAIM_TWICE in faults:
            content = content[:-1] + ', "sub": "somebody-else"}'
        key = _new_key() if {Fault.WRONG_SIGNATURE, Fault.OWN_KEY_IN_HEADER} & set(faults) else self._keys[0]
        header = self._header(key, faults)
        if header["alg"] == "none":
            return f"{_part(header)}.{_text(content.encode())}."
        if header["alg"] == "HS256":
            return _with_public_key(f"{_part(header)}.{_text(content.encode())}", key)
        token = jws.serialize_compact(header, content, key, registry=_REGISTRY)
        if Fault.CHANGED_CLAIMS in faults:
            first, _, last = token.split(".")
            return f"{first}.{_part({**said, 'sub': 'somebody-else'})}.{last}"
        return token

    def _header(self, key: RSAKey, faults: Collection[Fault]) -> dict[str, Any]:
        header: dict[str, Any] = {"alg": "RS256", "kid": self._keys[0].kid}
        changes: Mapping[Fault, dict[str, Any]] = {
            Fault.UNKNOWN_KID: {"kid": "unknown"},
            Fault.NO_KID: {"kid": None},
            Fault.OWN_KEY_IN_HEADER: {"jwk": key.as_dict(private=False)},
            Fault.CRITICAL_HEADER: {"crit": ["example"], "example": "x"},
            Fault.ALG_NONE: {"alg": "none"},
            Fault.ALG_HS256: {"alg": "HS256"},
        }
        for fault in faults:
            header |= changes.get(fault, {})
        return {name: value for name, value in header.items() if value is not None}


def _with_public_key(signed: str, key: RSAKey) -> str:
    """Sign with what everybody knows, as if it were a secret (RFC 8725, 2.1)."""
    return f"{signed}.{_text(hmac.digest(key.as_pem(private=False), signed.encode(), hashlib.sha256))}"


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": f"provider-{next(_NUMBERS)}", "use": "sig"}, private=True)


def _part(said: Mapping[str, Any]) -> str:
    return _text(json.dumps(said).encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
