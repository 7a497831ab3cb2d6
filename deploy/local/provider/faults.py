"""Faults: one thing each that a provider may do wrong; a client must give nobody a session for any of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What is switched on, by its name."""

    DISCOVERY_DOWN = "discovery-down"
    DISCOVERY_OTHER_ISSUER = "discovery-other-issuer"
    DISCOVERY_PLAIN_HTTP = "discovery-plain-http"
    DISCOVERY_INCOMPLETE = "discovery-incomplete"
    DISCOVERY_NO_JSON = "discovery-no-json"
    PUSHED_REFUSED = "pushed-refused"
    PUSHED_DOWN = "pushed-down"
    PUSHED_NO_URI = "pushed-no-uri"
    ANSWER_CANCELLED = "answer-cancelled"
    ANSWER_AWAY = "answer-away"
    ANSWER_UNKNOWN_ERROR = "answer-unknown-error"
    ANSWER_OTHER_ISSUER = "answer-other-issuer"
    ANSWER_NO_ISSUER = "answer-no-issuer"
    ANSWER_OTHER_STATE = "answer-other-state"
    ANSWER_NO_STATE = "answer-no-state"
    ANSWER_NO_CODE = "answer-no-code"
    ANSWER_OTHER_CODE = "answer-other-code"
    ANSWER_CODE_TWICE = "answer-code-twice"
    EXCHANGE_DOWN = "exchange-down"
    EXCHANGE_SLOW = "exchange-slow"
    EXCHANGE_NO_JSON = "exchange-no-json"
    EXCHANGE_TOO_LARGE = "exchange-too-large"
    EXCHANGE_ELSEWHERE = "exchange-elsewhere"
    EXCHANGE_BARE = "exchange-bare"
    EXCHANGE_REFUSED = "exchange-refused"
    KEYS_DOWN = "keys-down"
    KEYS_NONE = "keys-none"
    KEYS_TWICE = "keys-twice"
    ALG_NONE = "alg-none"
    ALG_HS256 = "alg-hs256"
    UNKNOWN_KID = "unknown-kid"
    NO_KID = "no-kid"
    OWN_KEY_IN_HEADER = "own-key-in-header"
    CRITICAL_HEADER = "critical-header"
    WRONG_SIGNATURE = "wrong-signature"
    CHANGED_CLAIMS = "changed-claims"
    CLAIM_TWICE = "claim-twice"
    OTHER_ISS = "other-iss"
    NO_ISS = "no-iss"
    OTHER_AUD = "other-aud"
    MORE_AUD = "more-aud"
    NO_AUD = "no-aud"
    OTHER_AZP = "other-azp"
    OTHER_NONCE = "other-nonce"
    NO_NONCE = "no-nonce"
    EXPIRED = "expired"
    NO_EXP = "no-exp"
    IAT_AHEAD = "iat-ahead"
    IAT_OLD = "iat-old"
    NBF_AHEAD = "nbf-ahead"
    UNKNOWN_ACR = "unknown-acr"
    LOWER_ACR = "lower-acr"
    NO_ACR = "no-acr"
    NO_SUB = "no-sub"
    EMPTY_SUB = "empty-sub"
    NO_NUMBER = "no-number"
    NUMBER_OF_NOBODY = "number-of-nobody"
    NUMBER_OF_ANOTHER_KIND = "number-of-another-kind"


Claims = dict[str, Any]
Change = Callable[[Claims], object]
_GONE = object()


def _set(**values: Any) -> Change:
    def change(claims: Claims) -> None:
        claims.update(values)
        for name in [name for name, value in claims.items() if value is _GONE]:
            del claims[name]

    return change


def _aged(name: str, seconds: float) -> Change:
    return lambda claims: claims.update({name: int(time.time() + seconds)})


CLAIMS: Mapping[Fault, Change] = {
    Fault.OTHER_ISS: _set(iss="https://other.example.no"),
    Fault.NO_ISS: _set(iss=_GONE),
    Fault.OTHER_AUD: _set(aud="somebody-else"),
    Fault.MORE_AUD: lambda claims: claims.update(aud=[claims["aud"], "somebody-else"]),
    Fault.NO_AUD: _set(aud=_GONE),
    Fault.OTHER_AZP: _set(azp="somebody-else"),
    Fault.OTHER_NONCE: _set(nonce="another-nonce"),
    Fault.NO_NONCE: _set(nonce=_GONE),
    Fault.EXPIRED: _aged("exp", -600),
    Fault.NO_EXP: _set(exp=_GONE),
    Fault.IAT_AHEAD: _aged("iat", 600),
    Fault.IAT_OLD: _aged("iat", -1200),
    Fault.NBF_AHEAD: _aged("nbf", 600),
    Fault.UNKNOWN_ACR: _set(acr="urn:example:unknown"),
    Fault.LOWER_ACR: _set(acr="low"),
    Fault.NO_ACR: _set(acr=_GONE),
    Fault.NO_SUB: _set(sub=_GONE),
    Fault.EMPTY_SUB: _set(sub=""),
    Fault.NO_NUMBER: _set(pid=_GONE),
    Fault.NUMBER_OF_NOBODY: _set(pid="01819010000"),
    Fault.NUMBER_OF_ANOTHER_KIND: _set(pid=1819010000),
}
"""Faults that are in what the token says; it is signed as ever."""
