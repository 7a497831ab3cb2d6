"""Demo: a day at the log-in page, on real parts, with two power cuts in the middle.

`python -m deploy.local.demo` starts PostgreSQL, Kafka, a mail server and Samband's services, plays the journey, prints
what happened, and exits with 1 if anything that should have happened did not.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx2
from uuid_utils.compat import uuid7

from chassis import requests, signing
from chassis.sealing import Keyring
from contracts.auth import RegisterAccount
from contracts.requests import SIGNATURE
from deploy.local import program
from deploy.local.journey import Observer, Person, code_in, observing
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ROLES, SYSTEM, Platform, platform
from deploy.local.stack import stack
from deploy.request import sending
from deploy.request.sending import Cluster

PEOPLE = {
    "kari.nordmann@eksempel.example": "nb",
    "aasne.fjell@eksempel.example": "nn",
    "john.smith@eksempel.example": "en",
}
CROWD = [f"medlem{n:02d}@eksempel.example" for n in range(1, 9)]
REFUSED = [f"{name}@eksempel.example" for name in ("feil", "brukt", "utlopt", "mange")]
STRANGER = "ukjent@eksempel.example"
NEWCOMER = "ny.medlem@eksempel.example"


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


async def main() -> int:
    """Play all acts; gives the exit code."""
    report = Report()
    report.title("Setting up")
    async with _stage(report) as scene:
        await log_in(scene)
        await be_refused(scene)
        await be_registered(scene)
        await survive(scene)
        await keep_secrets(scene)
    report.title("Result")
    for failure in report.failures:
        report.say(f"missing: {failure}")
    report.say(
        f"{'FAILED' if report.failures else 'all is as it should be'}, {time.monotonic() - report.began:.0f} s in all"
    )
    return 1 if report.failures else 0


@asynccontextmanager
async def _stage(report: Report) -> AsyncIterator[Scene]:
    async with stack("demo", progress=report.progress) as running, Mailbox() as mailbox:
        report.progress(f"mail server on port {mailbox.smtp_port}")
        async with platform(running, smtp_port=mailbox.smtp_port) as made:
            report.progress("schemas migrated, topics and keys made")
            await asyncio.gather(*(_start(made, *role, report) for role in ROLES))
            await asyncio.gather(*(_add_people(made, language) for language in ("nb", "nn", "en")))
            report.progress(f"{len(PEOPLE) + len(CROWD) + len(REFUSED)} synthetic people have accounts")
            async with observing(made) as observer, httpx2.AsyncClient(base_url=made.url("auth", "api")) as client:
                yield Scene(made, mailbox, observer, client, report)


async def _add_people(made: Platform, language: str) -> None:
    chosen = [address for address in PEOPLE if PEOPLE[address] == language]
    others = [*CROWD, *REFUSED] if language == "nb" else []
    await made.run("auth", "accounts", "add", "--language", language, *chosen, *others)


async def _start(made: Platform, service: str, role: str, report: Report) -> None:
    process = await made.start(service, role)
    report.progress(f"{service} {role} ready (process {process.pid})")


async def log_in(scene: Scene) -> None:
    """Three people ask for a code, read it in the mail and log in with it."""
    report = scene.report
    for address, language in PEOPLE.items():
        report.title(f"{address} logs in ({language})")
        person = scene.person(address)
        answer = await person.ask()
        answered = datetime.now(person.asked_at.tzinfo)
        (mail,) = await scene.mailbox.wait_for(1, to=address)
        session = await person.redeem(code_in(mail))
        logged_in = datetime.now(person.asked_at.tzinfo)
        await scene.observer.wait_for("MailDelivered", len(scene.mailbox.mails.listed()))
        (requested,) = [
            seen for seen in scene.observer.of("OtpRequested") if seen.key == person.challenge["challenge_id"]
        ]
        delivered = scene.observer.of("MailDelivered")[-1]
        report.event(person.asked_at, answered, f"answer {answer.status_code}", "auth api", "browser")
        report.event(person.asked_at, requested.at, "OtpRequested", "auth", f"Kafka {requested.topic}")
        report.event(person.asked_at, mail.received_at, "e-mail", "notifications", f"mailbox: {mail.subject}")
        report.event(person.asked_at, delivered.at, "MailDelivered", "notifications", f"Kafka {delivered.topic}")
        report.event(person.asked_at, logged_in, f"session {session.status_code}", "auth api", "browser")
        me = (await person.who_am_i()).json()
        report.check("logged in with the code from the mail", holds=me.get("address") == address)
        report.check("mail and page show the same reference", holds=person.challenge["reference"] in mail.subject)


async def be_refused(scene: Scene) -> None:
    """What must not work, does not, and says nothing about who has an account."""
    report = scene.report
    report.title("What is refused")
    wrong, used, late, many = (scene.person(address) for address in REFUSED)
    stranger = scene.person(STRANGER)
    answers = [await person.ask() for person in (wrong, used, late, many, stranger)]
    codes = [await scene.mailed_code(person) for person in (wrong, used, late, many)]
    await _refusal(report, "wrong code", await wrong.redeem(_other(codes[0])), 403)
    await used.redeem(codes[1])
    await _refusal(report, "used code", await used.redeem(codes[1]), 403)
    await _age(scene, late)
    await _refusal(report, "expired code (its row was aged in the database)", await late.redeem(codes[2]), 403)
    for _ in range(5):
        await many.redeem(_other(codes[3]))
    await _refusal(report, "the right code after too many tries", await many.redeem(codes[3]), 429)
    await _refusal(report, "a code for an unknown address", await stranger.redeem("123456"), 403)
    alike = {(answer.status_code, tuple(sorted(answer.json()))) for answer in answers}
    report.check("members and the stranger got the same answer", holds=len(alike) == 1)
    report.check("the stranger got no mail", holds=not scene.mailbox.mails.listed(to=STRANGER))


async def _refusal(report: Report, what: str, answer: httpx2.Response, status: int) -> None:
    report.check(f"{what}: {answer.status_code} {answer.json().get('title', '')}", holds=answer.status_code == status)


def _other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def _age(scene: Scene, person: Person) -> None:
    conn = await asyncpg.connect(scene.platform.admin)
    try:
        await conn.execute(
            "update auth.challenges set asked_at = asked_at - interval '11 minutes', "
            "expires_at = expires_at - interval '11 minutes' where id = $1",
            person.challenge["challenge_id"],
        )
    finally:
        await conn.close()


async def be_registered(scene: Scene) -> None:
    """A system outside asks for an account, signed; its holder logs in."""
    report, made = scene.report, scene.platform
    report.title(f"The system {SYSTEM} registers {NEWCOMER} by a signed request")
    keyring = Keyring.load(SYSTEM, Path(made.environments["auth"]["SAMBAND_PUBLIC_KEYS"]), None)
    fields = {"registration_id": str(uuid7()), "organisation_id": str(uuid7()), "address": NEWCOMER, "language": "nb"}
    message = sending.message_of(RegisterAccount, json.dumps(fields).encode())
    key, now = signing.read_key(made.system_key), datetime.now(UTC)
    signed = requests.sign(message, uuid7(), now, keyring=keyring, key=key)
    forged = replace(
        signed, headers={**signed.headers, SIGNATURE: signed.headers[SIGNATURE].partition("..")[0] + "..AA"}
    )
    cluster = Cluster(made.running.kafka, made.topic_prefix)
    told, first, second = [await sending.send(cluster, each, within=25) or {} for each in (forged, signed, signed)]
    report.check(f"a forged one: {told.get('text', 'no answer')}", holds=told.get("outcome") == "not_proven")
    report.check(f"the signed one: account {first.get('given')}", holds=first.get("outcome") == "accepted")
    report.check("the same request again: the same answer", holds=first == second)
    person = scene.person(NEWCOMER)
    await person.ask()
    await person.redeem(await scene.mailed_code(person))
    me = (await person.who_am_i()).json()
    report.check("its holder logs in with a code from the mail", holds=me.get("account_id") == first.get("given"))


async def survive(scene: Scene) -> None:
    """The relay and the courier die in the middle of the work; every mail still comes."""
    report, platform_ = scene.report, scene.platform
    report.title("Power cut: relay and courier are killed at work (SIGKILL)")
    before = len(scene.mailbox.mails.listed())
    crowd = [scene.person(address) for address in CROWD]
    await asyncio.gather(*(person.ask() for person in crowd[:6]))
    await scene.mailbox.wait_for(before + 1)
    await asyncio.gather(platform_.kill("auth", "worker"), platform_.kill("notifications", "worker"))
    arrived = len(scene.mailbox.mails.listed()) - before
    report.say(f"6 asked; killed both when {arrived} of 6 mails had come")
    answers = [await person.ask() for person in crowd[6:]]
    report.check(
        "the log-in page goes on while they are dead",
        holds=all(a.status_code == httpx2.codes.ACCEPTED for a in answers),
    )
    await asyncio.gather(*(_start(platform_, service, "worker", report) for service in ("auth", "notifications")))
    codes = await asyncio.gather(*(scene.mailed_code(person) for person in crowd))
    sessions = await asyncio.gather(*(person.redeem(code) for person, code in zip(crowd, codes, strict=True)))
    report.check(f"every one of the {len(crowd)} mails came", holds=len(codes) == len(crowd))
    report.check("every code from them logs in", holds=all(s.status_code == httpx2.codes.CREATED for s in sessions))
    counts = Counter(mail.message_id for mail in scene.mailbox.mails.listed())
    twice = sum(count - 1 for count in counts.values())
    report.say(f"mails doubled by a death between the final dot and its answer: {twice}")


async def keep_secrets(scene: Scene) -> None:
    """What an eavesdropper on the bus could read."""
    report = scene.report
    report.title("What an eavesdropper saw on the bus")
    await scene.observer.wait_for("MailDelivered", len({mail.message_id for mail in scene.mailbox.mails.listed()}))
    for kind, count in sorted(Counter(seen.type for seen in scene.observer.seen).items()):
        report.say(f"{count:4d} × {kind}")
    codes = [code_in(mail) for mail in scene.mailbox.mails.listed()]
    addresses = [*PEOPLE, *CROWD, *REFUSED, NEWCOMER]
    everything = b"\n".join(seen.raw for seen in scene.observer.seen)
    bodies = b"\n".join(seen.raw.split(b"\n", 1)[0] for seen in scene.observer.of("OtpRequested"))
    report.check("no address", holds=not any(address.encode() in everything for address in addresses))
    report.check("no code", holds=not any(f'"{code}"'.encode() in bodies for code in codes))


if __name__ == "__main__":
    sys.exit(program.run(main()))
