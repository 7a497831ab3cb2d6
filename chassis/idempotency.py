"""Idempotency: a write that names its `Idempotency-Key` happens once, however often it is sent."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel

from chassis.errors import Kind, Refusal
from chassis.postgres import Connection

HEADER = "Idempotency-Key"
_VISIBLE = re.compile(r"[!-~]{1,128}")

Answer = TypeVar("Answer", bound=BaseModel)


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key was used for another request.

    Give each new request a new key; send the same key only with the same request.
    """

    kind = Kind.UNPROCESSABLE


class IdempotencyKeyUnreadable(Refusal):
    """The Idempotency-Key cannot be read.

    Send one, of 1 to 128 visible ASCII characters without spaces, such as a new UUID.
    """

    kind = Kind.INVALID


class IdempotencyKeyNeedsCaller(Refusal):
    """An Idempotency-Key is taken only from a caller who can be told from others.

    Sign in first, or send the request without the key.
    """

    kind = Kind.INVALID


REFUSALS = (IdempotencyKeyReused, IdempotencyKeyUnreadable, IdempotencyKeyNeedsCaller)
"""What a route that takes keys may decline about them."""
DOCUMENTED: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "description": "Sent again with the same key within 24 hours, the request is answered again and done once.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
            "example": "6f1c1d1e-3a55-4c3f-9a43-0c6f4a3c9f0b",
        }
    ]
}
"""The `openapi_extra` of a route that takes keys."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request as its key names it: who calls (SHA-256), the key, and what is asked (route, SHA-256 of all of it)."""

    caller: bytes
    key: str
    route: str
    request_digest: bytes


async def key_of(request: Request, caller: str | None) -> RequestKey | None:
    """Read the key of a request, None where it has none; `caller` names who calls (an account, a session, a system).

    Raises `IdempotencyKeyUnreadable`, or `IdempotencyKeyNeedsCaller` when there is a key and `caller` is None.
    """
    match request.headers.getlist(HEADER):
        case []:
            return None
        case [key] if _VISIBLE.fullmatch(key):
            if caller is None:
                raise IdempotencyKeyNeedsCaller
        case _:
            raise IdempotencyKeyUnreadable
    route = getattr(request.scope.get("route"), "path", request.url.path)
    asked = (request.method.encode(), request.url.path.encode(), request.url.query.encode(), await request.body())
    digest = hashlib.sha256(b"\0".join(asked)).digest()
    return RequestKey(hashlib.sha256(caller.encode()).digest(), key, f"{request.method} {route}", digest)


async def once(
    conn: Connection, request_key: RequestKey | None, model: type[Answer], work: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Do the work, or give the answer that it gave when the same request came before; without a key just do it.

    The answer is durable with the work: in the caller's transaction, which must roll back when `work` raises. The same
    request at the same time waits for the first to end. An answer with a code or a session is never to be kept here.
    Raises `IdempotencyKeyReused`.
    """
    if request_key is None:
        return await work()
    if not await claim_key(conn, request_key):
        return model.model_validate_json(await get_answer(conn, request_key))
    answer = await work()
    await settle_key(conn, request_key, answer.model_dump_json(by_alias=True, round_trip=True))
    return answer


# A key that expired, or whose work was given up without a rollback, is taken over as if it were new.
CLAIM_KEY = """
insert into idempotency_keys (caller, key, route, request_digest) values ($1, $2, $3, $4)
on conflict (caller, key) do update
    set route = excluded.route, request_digest = excluded.request_digest, answer = null, created_at = now()
    where idempotency_keys.created_at <= now() - interval '24 hours' or idempotency_keys.answer is null
returning true"""


async def claim_key(conn: Connection, request_key: RequestKey) -> bool:
    """Take the key for this transaction; False when another has answered with it already. Waits for one under way."""
    key = request_key
    return bool(await conn.fetchval(CLAIM_KEY, key.caller, key.key, key.route, key.request_digest))


SELECT_ANSWER = "select answer, route, request_digest from idempotency_keys where caller = $1 and key = $2"


async def get_answer(conn: Connection, request_key: RequestKey) -> str:
    """Give the answer kept under a key that could not be claimed; raises `IdempotencyKeyReused`."""
    row = await conn.fetchrow(SELECT_ANSWER, request_key.caller, request_key.key)
    if row is None or (row["route"], row["request_digest"]) != (request_key.route, request_key.request_digest):
        raise IdempotencyKeyReused
    return str(row["answer"])


UPDATE_ANSWER = "update idempotency_keys set answer = $3 where caller = $1 and key = $2"


async def settle_key(conn: Connection, request_key: RequestKey, answer: str) -> None:
    """Keep the answer (JSON) under a claimed key."""
    await conn.execute(UPDATE_ANSWER, request_key.caller, request_key.key, answer)


DELETE_EXPIRED = """
with expired as (
    select caller, key from idempotency_keys where created_at <= now() - interval '24 hours'
    order by created_at limit $1 for update skip locked
), deleted as (
    delete from idempotency_keys using expired
    where idempotency_keys.caller = expired.caller and idempotency_keys.key = expired.key returning 1
)
select count(*) from deleted"""


async def prune(conn: Connection, limit: int) -> int:
    """Delete at most so many keys older than 24 hours, the oldest first; returns how many."""
    return int(await conn.fetchval(DELETE_EXPIRED, limit))
