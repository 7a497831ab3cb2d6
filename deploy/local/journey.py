"""Journey: a person at the log-in page, and what the bus and the mailbox saw of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any

import httpx2
from aiokafka import AIOKafkaConsumer

from contracts import topics
from deploy.local.mails import Mail
from deploy.local.platform import Platform

CODE = re.compile(r"^[ \t]*([0-9]{6})[ \t\r]*$", re.MULTILINE)


@dataclass(slots=True)
class Person:
    """A browser with its cookies. They are `Secure`, so over plain loopback HTTP they are carried by hand."""

    address: str
    client: httpx2.AsyncClient
    cookies: dict[str, str] = field(default_factory=dict)
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    challenge: dict[str, Any] = field(default_factory=dict)

    async def show_codes(self) -> httpx2.Response:
        """Open the page: it shows which codes this browser asked for, and gives the browser its name."""
        return await self.send("GET", "/v1/login-codes")

    async def ask(self, *, key: str | None = None) -> httpx2.Response:
        """Ask for a code; `key` is the request's Idempotency-Key."""
        self.asked_at = datetime.now(UTC)
        answer = await self.send("POST", "/v1/login-codes", {"address": self.address}, key)
        self.challenge = answer.json()
        return answer

    async def redeem(self, code: str, *, challenge_id: str | None = None) -> httpx2.Response:
        """Try a code, for the challenge that was asked for last or for the one that is named."""
        named = challenge_id or self.challenge["challenge_id"]
        return await self.send("POST", "/v1/sessions", {"challenge_id": named, "code": code})

    async def who_am_i(self) -> httpx2.Response:
        """Ask who is logged in."""
        return await self.send("GET", "/v1/session")

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
        *,
        if_match: str | None = None,
    ) -> httpx2.Response:
        """Send a request as the page does, and keep the cookies of the answer."""
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        headers |= {"idempotency-key": key} if key else {}
        headers |= {"if-match": if_match} if if_match else {}
        answer = await self.client.request(method, path, json=body, headers=headers)
        for header in answer.headers.get_list("set-cookie"):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        return answer


def code_in(mail: Mail) -> str:
    """Read the code out of a mail, as its reader would; raises ValueError when there is none."""
    found = CODE.search(mail.text)
    if found is None:
        raise ValueError(f"no code in the mail with the subject {mail.subject!r}")
    return found[1]


@dataclass(frozen=True, slots=True)
class Seen:
    """A record on the bus, as any eavesdropper sees it."""

    at: datetime
    topic: str
    type: str
    key: str
    raw: bytes


@dataclass(slots=True)
class Observer:
    """Everything on the topics of the run, in order of arrival."""

    seen: list[Seen] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def of(self, name: str) -> list[Seen]:
        """Give the records of one type, by the class's name."""
        return [record for record in self.seen if record.type.split(".")[1] == name]

    async def wait_for(self, name: str, count: int, *, within: float = 20) -> list[Seen]:
        """Wait until so many of a type were seen."""
        async with asyncio.timeout(within), self.arrived:
            await self.arrived.wait_for(lambda: len(self.of(name)) >= count)
        return self.of(name)


@asynccontextmanager
async def observing(platform: Platform) -> AsyncIterator[Observer]:
    """Listen to all topics of the run, from now on and in no group."""
    names = {platform.topic_prefix + topic.name: topic.name for topic in topics.ALL}
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=platform.running.kafka, auto_offset_reset="earliest")
    observer = Observer()

    async def observe() -> None:
        async for record in consumer:
            headers = dict(record.headers)
            raw = b"\n".join([record.value or b"", record.key or b"", *headers.values()])
            at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            async with observer.arrived:
                observer.seen.append(
                    Seen(at, names[record.topic], headers["ce_type"].decode(), (record.key or b"").decode(), raw)
                )
                observer.arrived.notify_all()

    await consumer.start()
    task = asyncio.create_task(observe())
    try:
        yield observer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()
