"""Relay and courier are killed at work; and what an eavesdropper saw of it all."""

import asyncio
from collections import Counter

import httpx2

from deploy.local.demo.cast import CROWD, EVERYBODY
from deploy.local.demo.scene import Scene, start
from deploy.local.journey import CODE, code_in


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
    await asyncio.gather(*(start(platform_, service, "worker", report) for service in ("auth", "notifications")))
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
    codes = [code_in(mail) for mail in scene.mailbox.mails.listed() if CODE.search(mail.text)]
    everything = b"\n".join(seen.raw for seen in scene.observer.seen)
    bodies = b"\n".join(seen.raw.split(b"\n", 1)[0] for seen in scene.observer.of("OtpRequested"))
    report.check("no address", holds=not any(address.encode() in everything for address in EVERYBODY))
    report.check("no code", holds=not any(f'"{code}"'.encode() in bodies for code in codes))
