"""Scene: what every act plays on, and the report of what was found."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import httpx2

from deploy.local.journey import Observer, Person, code_in
from deploy.local.mailbox import Mailbox
from deploy.local.platform import Platform


@dataclass(slots=True)
class Report:
    """What was printed, and what was found wanting."""

    began: float = field(default_factory=time.monotonic)
    failures: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        print(f"\n── {text} " + "─" * max(0, 92 - len(text)), flush=True)

    def say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def progress(self, text: str) -> None:
        print(f"   {time.monotonic() - self.began:5.1f} s  {text}", flush=True)

    def event(self, started: datetime, at: datetime, what: str, source: str, target: str) -> None:
        milliseconds = (at - started).total_seconds() * 1000
        print(f"   {milliseconds:8.0f} ms  {what:<16} {source:<18} → {target}", flush=True)

    def check(self, what: str, *, holds: bool) -> None:
        print(f"   {'✓' if holds else '✗'} {what}", flush=True)
        if not holds:
            self.failures.append(what)


@dataclass(frozen=True, slots=True)
class Scene:
    """What every act plays on."""

    platform: Platform
    mailbox: Mailbox
    observer: Observer
    client: httpx2.AsyncClient
    report: Report

    def person(self, address: str) -> Person:
        return Person(address, self.client)

    async def mailed_code(self, person: Person, *, count: int = 1) -> str:
        mails = await self.mailbox.wait_for(count, to=person.address, within=25)
        return code_in(mails[0])

    async def behind_the_scenes(self, sql: str, *values: object) -> None:
        """Change rows as no service may: so that nobody need wait for a time to pass."""
        conn = await asyncpg.connect(self.platform.admin)
        try:
            await conn.execute(sql, *values)
        finally:
            await conn.close()

    def refusal(self, what: str, answer: httpx2.Response, status: int) -> None:
        """Check that something was refused, and show in which words."""
        title = answer.json().get("title", "")
        self.report.check(f"{what}: {answer.status_code} {title}", holds=answer.status_code == status)


async def start(platform: Platform, service: str, role: str, report: Report) -> None:
    """Start a role and say so."""
    process = await platform.start(service, role)
    report.progress(f"{service} {role} ready (process {process.pid})")
