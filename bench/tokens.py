"""Tokens: what it costs a service to know its caller, from the header of the request to the caller with what it may do.

Each figure is processor time of one core, for every request has to pass here. A token that is new pays for its signature; one
that came before, as a browser's does for a minute, is looked up.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from starlette.requests import Request

from bench.crew import Figures
from bench.plan import Plan
from bench.servers import Servers
from chassis import signing, tokens
from chassis.access import Assurance, Bearer
from chassis.signing import Key
from chassis.tokens import Claims, Verifier
from chassis.voids import Voids

ISSUER, SERVICE = "https://auth.example.no", "things"
CURVES: Mapping[str, str] = {"Ed25519": "", "P-256": "es256_"}
TOKENS = 500
VOID = 1_000
"""Sessions and accounts that the mirror holds meanwhile."""


async def measure(servers: Servers, plan: Plan) -> Figures:  # noqa: ARG001 -- a part's signature; it needs no server.
    """Measure checks with each kind of key, in interleaved rounds; gives the medians."""
    keys = {curve: signing.new_key("auth-1", curve) for curve in CURVES}
    found: dict[str, list[float]] = {}
    for number in range(plan.repeats):
        plan.tell(f"tokens: round {number + 1} of {plan.repeats}")
        for curve, key in keys.items():
            requests = [_request(key) for _ in range(TOKENS)]
            found.setdefault(f"tokens.{CURVES[curve]}new_us", []).append(
                await _cost(_bearer(key, kept=0), requests, plan.seconds)
            )
            if not CURVES[curve]:
                found.setdefault("tokens.known_us", []).append(
                    await _cost(_bearer(key, kept=TOKENS), requests, plan.seconds)
                )
    figures = {name: statistics.median(values) for name, values in found.items()}
    return figures | {name.replace("_us", "_per_second"): 1e6 / value for name, value in figures.items()}


async def _cost(bearer: Bearer, requests: Sequence[Request], seconds: float) -> float:
    """Give the microseconds of processor time of a check, over so many seconds; tokens live longer than that."""
    for request in requests:
        await bearer(request)
    count, began, until = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until:
        for request in requests:
            await bearer(request)
        count += len(requests)
    return (time.process_time() - began) * 1e6 / count


def _bearer(key: Key, *, kept: int) -> Bearer:
    voids = Voids()
    voids.update((uuid4() for _ in range(VOID)), {uuid4(): 2**33 for _ in range(VOID)})
    return Bearer(Verifier({str(key.kid): key}, issuer=ISSUER, audience=SERVICE, kept=kept), voids)


def _request(key: Key) -> Request:
    """Make a request of a person with what a token mostly says, and the headers that a browser sends."""
    now = datetime.now(UTC)
    claims = Claims(
        issuer=ISSUER,
        audience=SERVICE,
        subject=str(uuid4()),
        client_id="browser",
        issued_at=now,
        expires_at=now + timedelta(seconds=tokens.LONGEST_SECONDS),
        token_id=str(uuid4()),
        session_id=uuid4(),
        epoch=(1 << 32) + 1,
        organisation_id=UUID(int=1),
        rights=frozenset(f"things.{name}" for name in ("read", "write", "assign", "close", "export")),
        assurance=Assurance.SUBSTANTIAL,
        terms={"privacy": "3", "use": "2"},
    )
    headers = [(b"host", b"things.example.no"), (b"accept", b"application/json"), (b"accept-language", b"nb")]
    bearing = (b"authorization", f"Bearer {tokens.sign(claims, key)}".encode())
    return Request({"type": "http", "method": "GET", "path": "/v1/things", "headers": [*headers, bearing]})
