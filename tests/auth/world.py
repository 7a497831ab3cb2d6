"""A world around auth: its app on a real database, browsers that keep their own cookies, and the mails that are owed."""

import base64
import itertools
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx2
from argon2 import PasswordHasher
from fastapi import FastAPI
from pydantic import SecretStr

from chassis import http
from chassis.postgres import Database
from chassis.sealing import Keyring, Place
from chassis.service import Runtime
from chassis.texts import Texts
from chassis.voids import Voids
from services.auth.__main__ import SERVICE
from services.auth.access_orders import api as access_orders
from services.auth.codes import api as codes
from services.auth.codes import challenges, password_api
from services.auth.front import Front
from services.auth.identity_links import api as identity_links
from services.auth.identity_providers import api as identity_providers
from services.auth.identity_providers.api import Desk
from services.auth.identity_providers.calls import Caller
from services.auth.keys import ALPHABET, Keys
from services.auth.limits import Limits
from services.auth.passwords import api as passwords
from services.auth.passwords import blocks
from services.auth.passwords import store as kept
from services.auth.passwords.hashing import Hashing
from services.auth.people import accounts
from services.auth.people.addresses import normalise
from services.auth.people.store import Account
from services.auth.people.user_names import key_of
from services.auth.sessions import api as sessions
from services.auth.sessions import authentication, token_api, token_keys
from services.auth.settings import AuthSettings
from services.auth.terms import api as terms
from services.auth.users import api as users
from tests.support import described

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CODE_KEY = SecretStr(base64.b64encode(b"k" * 32).decode())
PEPPER = SecretStr(base64.b64encode(b"p" * 32).decode())
QUICK = Hashing(PEPPER, hasher=PasswordHasher(1, 8, 1), threads=1, waiting=100_000)
"""Hashes in no time, so that thousands of guesses can be counted; tests/auth/passwords/test_hashing.py has the dear one."""
PASSWORD = "fire blåbær under ei bru"
SENDER = "ikkesvar@example.no"
ISSUER = "https://auth.example.no"
UNION = "Eksempelforbundet"
DESCRIBED = described.of("auth")
"""Made here, before any test counts seconds."""
WRONG = "000000"
"""A code that the scripted chance never gives unless told to."""


class ScriptedChance:
    """Gives the codes it was told to give, then others that all differ; references and tokens are counted."""

    def __init__(self) -> None:
        self.codes: deque[str] = deque()
        self._codes, self._references, self._tokens = itertools.count(1), itertools.count(), itertools.count(1)

    def code(self) -> str:
        return self.codes.popleft() if self.codes else f"{next(self._codes) * 7919 % 1_000_000:06d}"

    def reference(self) -> str:
        number = next(self._references)
        return "".join(ALPHABET[number // len(ALPHABET) ** place % len(ALPHABET)] for place in (3, 2, 1, 0))

    def token(self) -> str:
        return f"token-{next(self._tokens):037d}"


@dataclass(frozen=True, slots=True)
class Mail:
    """What `OtpRequested` brings to notifications, its code opened as only they can."""

    challenge_id: UUID
    account_id: UUID
    account_version: int
    reference: str
    code: str
    purpose: str = "login"


@dataclass(slots=True)
class Browser:
    """A person's browser at one network address."""

    app: FastAPI
    source: str
    cookies: dict[str, str] = field(default_factory=dict)

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        """Send a request with this browser's cookies, and keep those that the answer sets; it is as the document says."""
        sent = {"Accept-Language": "en", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False, client=(self.source, 40_000))
        async with httpx2.AsyncClient(transport=transport, base_url="https://auth.example.no") as client:
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
            answer = await client.request(method, path, headers=encoded, **body)
        DESCRIBED.check(answer)
        self._keep(answer)
        return answer

    async def ask(self, address: str, path: str = "/v1/login-codes") -> dict[str, Any]:
        """Ask for a code and give the answer."""
        answer = await self.send("POST", path, json={"address": address})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def redeem(self, challenge: Mapping[str, Any], code: str, **headers: str) -> httpx2.Response:
        body = {"challenge_id": challenge["challenge_id"], "code": code}
        return await self.send("POST", "/v1/sessions", json=body, headers=headers)

    async def log_in(self, login: str, password: str = PASSWORD, **headers: str) -> httpx2.Response:
        body = {"login": login, "password": password}
        return await self.send("POST", "/v1/sessions/by-password", json=body, headers=headers)

    async def set_password(
        self, path: str, challenge: Mapping[str, Any], code: str, password: str = PASSWORD, again: str | None = None
    ) -> httpx2.Response:
        """Set a password with a code; `path` is where the code was asked for."""
        body = {"code": code, "new_password": password, "confirmation": password if again is None else again}
        return await self.send("POST", f"{path}/{challenge['challenge_id']}/password", json=body)

    async def listed(self, path: str = "/v1/login-codes") -> list[dict[str, Any]]:
        return list((await self.send("GET", path)).json()["items"])

    async def session(self) -> httpx2.Response:
        return await self.send("GET", "/v1/session")

    def _keep(self, answer: httpx2.Response) -> None:
        for header in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]


@dataclass(frozen=True, slots=True, repr=False)
class World:
    """Auth as its composition root builds it, but for its chance."""

    database: Database
    settings: AuthSettings
    reader: Keyring
    limits: Limits = field(default_factory=Limits)
    keys: Keys = field(default_factory=lambda: Keys(CODE_KEY))
    chance: ScriptedChance = field(default_factory=ScriptedChance)
    hashing: Hashing = QUICK
    voids: Voids = field(default_factory=Voids)
    """Which access tokens auth's api knows to be void."""

    caller: Caller | None = None
    """Speaks with identity providers; None for one that would speak with real ones."""

    @property
    def runtime(self) -> Runtime[AuthSettings]:
        return Runtime(self.settings, self.database, self.voids)

    def limited(self, **limits: Any) -> "World":
        """Give the same world with other limits."""
        return replace(self, limits=replace(self.limits, **limits))

    def app(self) -> FastAPI:
        front, signer, desk = self.front, token_keys.signer_of(self.settings), self.desk
        routes = [
            codes.router(front),
            password_api.router(front, self.hashing),
            passwords.router(front, self.hashing),
            sessions.router(front, signer),
            token_api.router(front, signer),
            terms.router(front),
            users.router(front),
            access_orders.router(front),
            identity_providers.router(front, desk),
            identity_links.router(front, desk, self.hashing),
        ]
        return http.create_app(
            title="auth",
            version="1",
            routers=routes,
            authenticator=authentication.of(front, self.runtime),
            texts=[Texts(SERVICE.folder / "locales")],
            forms=SERVICE.forms,
        )

    @property
    def desk(self) -> Desk:
        return identity_providers.desk_of(self.settings, self.chance, self.caller)

    @property
    def front(self) -> Front:
        return Front(self.database, self.settings, self.keys, self.chance, self.limits)

    def browser(self, source: str = "192.0.2.1") -> Browser:
        return Browser(self.app(), source)

    def browsers(self, count: int, source: str = "192.0.2.1") -> list[Browser]:
        app = self.app()
        return [Browser(app, source) for _ in range(count)]

    async def add(self, address: str, language: str = "nb") -> Account:
        async with self.database.transaction() as conn:
            return await accounts.add(conn, normalise(address), language)

    async def add_with_password(self, address: str, password: str = PASSWORD, user_name: str | None = None) -> Account:
        account = await self.add(address)
        async with self.database.transaction() as conn:
            await kept.replace_password(conn, account.id, self.hashing.hash(account.id, password))
            if user_name is not None:
                name = (account.id, user_name, key_of(user_name))
                await conn.execute("update accounts set (user_name, user_name_key) = ($2, $3) where id = $1", *name)
        return account

    async def tell_all_blocks(self) -> None:
        """Owe the mails about all blocks, as the worker does."""
        while True:
            async with self.database.transaction() as conn:
                if not await blocks.tell_next(conn):
                    return

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """Read what is owed to the bus of one type, sealed fields opened with notifications' key."""
        async with self.database.transaction() as conn:
            rows = await conn.fetch("select * from outbox where type = $1 order by id", kind)
        return [self._opened(row["message_id"], row["type"], json.loads(row["payload"])) for row in rows]

    def _opened(self, message_id: UUID, kind: str, told: dict[str, Any]) -> dict[str, Any]:
        sealed = {name: value for name, value in told.items() if isinstance(value, str) and value.count(".") == 4}
        places = {name: Place(str(message_id), kind, name) for name in sealed}
        return told | {name: self.reader.open(value, places[name]) for name, value in sealed.items()}

    async def issue_next(self) -> bool:
        async with self.database.transaction() as conn:
            return await challenges.settle_next(conn, limits=self.limits, keys=self.keys, chance=self.chance)

    async def issue_all(self) -> None:
        """Settle every challenge that waits, as the worker does."""
        while await self.issue_next():
            pass

    async def asked(self, address: str, browser: Browser, path: str = "/v1/login-codes") -> tuple[dict[str, Any], Mail]:
        """Ask, have the code issued, and read its mail."""
        challenge = await browser.ask(address, path)
        await self.issue_all()
        return challenge, await self.mail_of(challenge)

    async def logged_in(self, address: str) -> Browser:
        """Give a browser that the account knows from now on."""
        browser = self.browser()
        challenge, mail = await self.asked(address, browser)
        assert (await browser.redeem(challenge, mail.code)).status_code == 201
        return browser

    async def mail_of(self, challenge: Mapping[str, Any]) -> Mail:
        return next(mail for mail in await self.mails() if str(mail.challenge_id) == challenge["challenge_id"])

    async def mails(self) -> list[Mail]:
        """Read the codes that are owed, in order, with notifications' key."""
        async with self.database.transaction() as conn:
            rows = await conn.fetch("select * from outbox where type like 'auth.OtpRequested.v_' order by id")
        opened = (self._opened(row["message_id"], row["type"], json.loads(row["payload"])) for row in rows)
        return [
            Mail(
                UUID(told["challenge_id"]),
                UUID(told["account_id"]),
                told["account_version"],
                told["reference"],
                told["code"],
                told["purpose"],
            )
            for told in opened
        ]


AGE = {
    "challenges": """
update auth.challenges
set (asked_at, expires_at, settled_at) = (asked_at - $1::interval, expires_at - $1::interval, settled_at - $1::interval)""",
    "code_attempts": "update auth.code_attempts set tried_at = tried_at - $1::interval",
    "password_attempts": "update auth.password_attempts set tried_at = tried_at - $1::interval",
    "blocks": "update auth.blocks set (blocked_until, changed_at) = (blocked_until - $1::interval, changed_at - $1::interval)",
    "block_notices": "update auth.block_notices set owed_at = owed_at - $1::interval",
    "log-ins by a provider": """
update auth.oidc_flows set (begun_at, expires_at) = (begun_at - $1::interval, expires_at - $1::interval)""",
    "proofs": """
update auth.identity_proofs set (proven_at, expires_at) = (proven_at - $1::interval, expires_at - $1::interval)""",
    "sessions": "update auth.sessions set (started_at, ends_at) = (started_at - $1::interval, ends_at - $1::interval)",
    "uses of sessions": "update auth.sessions set seen_at = seen_at - $1::interval",
}


async def age(owner: Owner, what: str, **by: float) -> None:
    """Make rows older, so that no clock need move: `age(owner, "challenges", minutes=10)`."""
    await owner.execute(AGE[what], timedelta(**by))
