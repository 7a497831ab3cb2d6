"""The shortest whole journey, over HTTP, Postgres, Kafka and SMTP, with a SIGKILL after each of its steps."""

import asyncio

import asyncpg
import httpx2
import pytest

from deploy.local.journey import Observer, Person, code_in
from deploy.local.mailbox import Mailbox
from deploy.local.platform import Platform
from tests.flows.conftest import Crowd

pytestmark = pytest.mark.timeout(120)


async def log_in(person: Person, mailbox: Mailbox) -> httpx2.Response:
    """Wait for the mail, type its code."""
    mails = await mailbox.wait_for(1, to=person.address, within=40)
    return await person.redeem(code_in(mails[0]))


@pytest.mark.rule("G1", "G2")
async def test_a_person_logs_in_with_the_code_from_the_mail(mailbox: Mailbox, crowd: Crowd) -> None:
    (person,) = await crowd.add(1)
    assert (await person.ask()).status_code == httpx2.codes.ACCEPTED
    assert person.challenge["address"] == person.address
    assert (await log_in(person, mailbox)).status_code == httpx2.codes.CREATED
    assert (await person.who_am_i()).json()["address"] == person.address
    (mail,) = mailbox.mails.listed(to=person.address)
    assert mail.sender == person.challenge["sender"]


@pytest.mark.rule("G5")
async def test_of_two_codes_asked_for_in_one_browser_both_count(mailbox: Mailbox, crowd: Crowd) -> None:
    (person,) = await crowd.add(1)
    await person.ask()
    await mailbox.wait_for(1, to=person.address)
    await person.ask()
    newest, oldest = await mailbox.wait_for(2, to=person.address)
    assert person.challenge["reference"] in newest.subject
    assert (await person.redeem(code_in(oldest))).status_code == httpx2.codes.CREATED


STEPS = [
    ("auth", "worker", "codes.issued"),
    ("auth", "worker", "relay.read"),
    ("auth", "worker", "relay.sent"),
    ("notifications", "worker", "consumer.claimed"),
    ("notifications", "worker", "consumer.handled"),
    ("notifications", "worker", "consumer.committed"),
    ("notifications", "worker", "courier.confirmed"),
    ("notifications", "worker", "courier.sent"),
]


@pytest.mark.goal("rel-R1")
@pytest.mark.goal("rel-R5")
@pytest.mark.parametrize(("service", "role", "place"), STEPS, ids=[place for *_, place in STEPS])
async def test_a_process_that_dies_at_a_step_loses_no_mail_and_sends_none_twice(
    samband: Platform, mailbox: Mailbox, crowd: Crowd, service: str, role: str, place: str
) -> None:
    people = await crowd.add(3)
    await samband.processes[service, role].stop(within=40)
    doomed = await samband.start(
        service, role, program=("tests.support.crashing",), extra={"SAMBAND_TEST_FAILPOINT": place}
    )
    try:
        for person in people:
            assert (await person.ask()).status_code == httpx2.codes.ACCEPTED
        async with asyncio.timeout(30):
            assert await doomed.wait() == -9
    finally:
        await samband.start(service, role)
    sessions = await asyncio.gather(*(log_in(person, mailbox) for person in people))
    assert [session.status_code for session in sessions] == [httpx2.codes.CREATED] * 3
    for person in people:
        mails = mailbox.mails.listed(to=person.address)
        assert len({mail.message_id for mail in mails}) == 1
        assert len(mails) == 1 or place == "courier.sent"


@pytest.mark.goal("rel-R1")
@pytest.mark.parametrize("place", ["codes.asked", "api.asked"])
async def test_an_api_that_dies_before_it_answers_leaves_one_challenge_when_asked_again_with_the_same_key(
    samband: Platform, mailbox: Mailbox, crowd: Crowd, owner_of_run: "asyncpg.Connection[asyncpg.Record]", place: str
) -> None:
    (person,) = await crowd.add(1)
    await person.show_codes()
    await samband.processes["auth", "api"].stop(within=40)
    doomed = await samband.start(
        "auth", "api", program=("tests.support.crashing",), extra={"SAMBAND_TEST_FAILPOINT": place}
    )
    try:
        with pytest.raises(httpx2.TransportError):
            await person.ask(key="first-and-only")
        assert await doomed.wait() == -9
    finally:
        await samband.start("auth", "api")
    assert (await person.ask(key="first-and-only")).status_code == httpx2.codes.ACCEPTED
    assert (await log_in(person, mailbox)).status_code == httpx2.codes.CREATED
    count = await owner_of_run.fetchval("select count(*) from auth.challenges where address = $1", person.address)
    assert count == 1


@pytest.mark.goal("sec-A3")
@pytest.mark.parametrize(("place", "counted"), [("api.counted", 1), ("codes.used", 1)])
async def test_an_api_that_dies_while_it_judges_has_counted_the_try_and_used_up_nothing(
    samband: Platform,
    mailbox: Mailbox,
    crowd: Crowd,
    owner_of_run: "asyncpg.Connection[asyncpg.Record]",
    place: str,
    counted: int,
) -> None:
    (person,) = await crowd.add(1)
    await person.ask()
    (mail,) = await mailbox.wait_for(1, to=person.address)
    await samband.processes["auth", "api"].stop(within=40)
    doomed = await samband.start(
        "auth", "api", program=("tests.support.crashing",), extra={"SAMBAND_TEST_FAILPOINT": place}
    )
    try:
        with pytest.raises(httpx2.TransportError):
            await person.redeem(code_in(mail))
        assert await doomed.wait() == -9
    finally:
        await samband.start("auth", "api")
    tries = await owner_of_run.fetchval("select tries from auth.challenges where address = $1", person.address)
    assert tries == counted
    assert (await person.redeem(code_in(mail))).status_code == httpx2.codes.CREATED


@pytest.mark.goal("sec-P1")
@pytest.mark.goal("sec-P4")
async def test_no_code_and_no_address_is_readable_on_the_bus_in_a_log_or_where_it_need_not_be(
    samband: Platform,
    mailbox: Mailbox,
    crowd: Crowd,
    observer: Observer,
    owner_of_run: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    people = await crowd.add(3)
    for person in people:
        await person.ask()
    mails = [(await mailbox.wait_for(1, to=person.address))[0] for person in people]
    await observer.wait_for("MailDelivered", len({mail.message_id for mail in mailbox.mails.listed()}))
    canaries = [person.address.encode() for person in people] + [f'"{code_in(mail)}"'.encode() for mail in mails]
    bus = b"\n".join(seen.raw for seen in observer.seen)
    logs = b"\n".join(path.read_bytes() for path in samband.running.folder.glob("*-worker.log"))
    logs += b"\n".join(path.read_bytes() for path in samband.running.folder.glob("*-api.log"))
    stored = await _stored(
        owner_of_run, "outbox", "outbox_published", "dead_letters", "mails", "challenges.code_digest"
    )
    for canary in canaries:
        assert canary not in bus
        assert canary not in logs
    for canary in canaries[: len(people)]:
        assert canary not in stored
    assert len(bus) > 1_000
    assert len(logs) > 1_000


async def _stored(conn: "asyncpg.Connection[asyncpg.Record]", *tables: str) -> bytes:
    rows = []
    for schema in ("auth", "notifications"):
        for table in tables:
            if await conn.fetchval("select to_regclass($1) is not null", f"{schema}.{table.partition('.')[0]}"):
                column = table.partition(".")[2] or "*"
                found = f"select {column} from {schema}.{table.partition('.')[0]}"  # noqa: S608 -- names from this file.
                rows += [str(dict(row)) for row in await conn.fetch(found)]
    return "\n".join(rows).encode()


async def test_a_stranger_gets_the_same_answer_and_no_mail(mailbox: Mailbox, crowd: Crowd) -> None:
    (member,) = await crowd.add(1)
    stranger = await crowd.browser("nobody@eksempel.example")
    answers = [await person.ask() for person in (member, stranger)]
    assert answers[0].status_code == answers[1].status_code
    assert set(answers[0].json()) == set(answers[1].json())
    await mailbox.wait_for(1, to=member.address)
    assert mailbox.mails.listed(to=stranger.address) == []


@pytest.mark.goal("rel-R12")
async def test_sigterm_ends_every_role_in_order_and_with_exit_code_0(
    samband: Platform, mailbox: Mailbox, crowd: Crowd
) -> None:
    people = await crowd.add(3)
    await asyncio.gather(*(person.ask() for person in people))
    for service, role in (("auth", "worker"), ("notifications", "worker")):
        assert await samband.processes[service, role].stop(within=25) == 0
        await samband.start(service, role)
    sessions = await asyncio.gather(*(log_in(person, mailbox) for person in people))
    assert [session.status_code for session in sessions] == [httpx2.codes.CREATED] * 3
