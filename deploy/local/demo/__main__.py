"""Plays the demo; gives its exit code."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from deploy.local import program
from deploy.local.demo import belonging, logging_in, registering, surviving
from deploy.local.demo.cast import CROWD, PEOPLE, REFUSED
from deploy.local.demo.scene import Report, Scene, start
from deploy.local.journey import observing
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ROLES, Platform, platform
from deploy.local.stack import stack

ACTS = (
    logging_in.log_in,
    logging_in.be_refused,
    registering.be_registered,
    belonging.belong,
    surviving.survive,
    surviving.keep_secrets,
)


async def main() -> int:
    """Play all acts; gives the exit code."""
    report = Report()
    report.title("Setting up")
    async with _stage(report) as scene:
        for act in ACTS:
            await act(scene)
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
            await asyncio.gather(*(start(made, *role, report) for role in ROLES))
            await made.publish_terms()
            report.progress("terms published")
            await asyncio.gather(*(_add_people(made, language) for language in ("nb", "nn", "en")))
            report.progress(f"{len(PEOPLE) + len(CROWD) + len(REFUSED)} synthetic people have accounts")
            async with observing(made) as observer, httpx2.AsyncClient(base_url=made.url("auth", "api")) as client:
                yield Scene(made, mailbox, observer, client, report)


async def _add_people(made: Platform, language: str) -> None:
    chosen = [address for address in PEOPLE if PEOPLE[address] == language]
    others = [*CROWD, *REFUSED] if language == "nb" else []
    await made.run("auth", "accounts", "add", "--language", language, *chosen, *others)


if __name__ == "__main__":
    sys.exit(program.run(main()))
