"""Signed requests through the real processes: from a system outside to the account, its answer, and its holder's mail."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from joserfc.jwk import OKPKey

from chassis import signing
from chassis.signing import Statement
from chassis.systems import Systems
from contracts.auth import RegisterAccount
from contracts.requests import Declined, Unproven
from deploy.local.folders import CHECKOUT
from deploy.local.journey import Observer, code_in
from deploy.local.mailbox import Mailbox
from deploy.local.platform import SYSTEM, Platform
from tests.flows.conftest import Crowd
from tests.support import bus, integrators
from tests.support.integrators import Integrator

pytestmark = pytest.mark.timeout(120)

REQUESTS = RegisterAccount.topic.name


@pytest.fixture(scope="module", autouse=True)
async def organisations(samband: Platform) -> None:
    """Register the organisations that the requests name."""
    for number, organisation in enumerate((str(UUID(int=1)), integrators.ORGANISATION)):
        await samband.run("auth", "organisations", "add", f"Eksempel {number} AS", "--id", organisation)


def fields(address: str) -> dict[str, str]:
    names = {"registration_id": str(uuid4()), "organisation_id": str(UUID(int=1))}
    return {**names, "address": address, "language": "nn"}


async def ask(samband: Platform, given: dict[str, str], *more: str) -> tuple[int, dict[str, Any]]:
    """Send a request as a system outside does; gives the command's exit code and what it printed."""
    own = ["--system", SYSTEM, "--key", str(samband.system_key), "--public-keys", samband.url("auth", "api")]
    where = ["--kafka", samband.running.kafka, "--topic-prefix", samband.topic_prefix]
    command = [sys.executable, "-m", "deploy.request", "send", RegisterAccount.type, *own, *where, *more]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=CHECKOUT, env=os.environ, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate(json.dumps(given).encode())
    assert process.returncode is not None
    return process.returncode, json.loads(said)


async def test_a_system_registers_an_account_and_its_holder_logs_in(
    samband: Platform, mailbox: Mailbox, crowd: Crowd, observer: Observer
) -> None:
    address = "kari.nordmann@eksempel.example"
    code, answer = await ask(samband, fields(address))
    assert (code, answer["outcome"], answer["system"]) == (0, "accepted", SYSTEM)
    assert answer["given"] in {seen.key for seen in await observer.wait_for("AccountChanged", 1)}
    assert not [seen for seen in observer.seen if address.encode() in seen.raw]
    person = await crowd.browser(address)
    assert (await person.ask()).status_code == httpx2.codes.ACCEPTED
    (mail,) = await mailbox.wait_for(1, to=address, within=40)
    assert (await person.redeem(code_in(mail))).status_code == httpx2.codes.CREATED
    assert (await person.who_am_i()).json()["account_id"] == answer["given"]


async def test_an_address_that_is_taken_is_refused_with_the_code_of_http(samband: Platform) -> None:
    given = fields("ola.nordmann@eksempel.example")
    await ask(samband, given)
    code, answer = await ask(samband, given)
    assert (code, answer["outcome"], answer["reason"]) == (1, "refused", "by_rule")
    assert answer["code"] == "urn:samband:auth:address-taken"


async def test_a_topic_that_is_not_there_is_told_in_words(samband: Platform) -> None:
    words = ["--system", SYSTEM, "--key", str(samband.system_key), "--kafka", samband.running.kafka]
    where = ["--public-keys", samband.url("auth", "api"), "--topic-prefix", "nowhere."]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "deploy.request", "send", RegisterAccount.type, *words, *where],
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate(json.dumps(fields("x@eksempel.example")).encode())
    assert process.returncode == 2
    assert b"error: Kafka has no topic nowhere.auth.answers.v1; is the prefix right?" in said


async def forge(samband: Platform, record: dict[str, Any], signature: str) -> None:
    """Write a record as somebody who is not its system."""
    headers = [(name, text.encode()) for name, text in (record["headers"] | {"ce_signature": signature}).items()]
    value, key = record["value"].encode(), record["key"].encode()
    await bus.write(samband.running.kafka, record["topic"], value, key=key, headers=headers)


@pytest.mark.goal("rel-R2")
async def test_neither_a_forged_request_before_it_nor_a_killed_worker_after_it_changes_what_a_request_is_answered(
    samband: Platform, observer: Observer, owner_of_run: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    given, name = fields("per.nordmann@eksempel.example"), ["--id", str(uuid4())]
    _, record = await ask(samband, given, *name, "--print")
    told = len(observer.of("RequestNotProven"))
    await forge(samband, record, record["headers"]["ce_signature"].partition("..")[0] + "..AAAA")
    await observer.wait_for("RequestNotProven", told + 1)
    code, first = await ask(samband, given, *name)
    assert (code, first["outcome"]) == (0, "accepted")
    await samband.kill("auth", "worker")
    await samband.start("auth", "worker")
    assert await ask(samband, given, *name) == (0, first)
    count = await owner_of_run.fetchval("select count(*) from auth.accounts where address = $1", given["address"])
    assert count == 1


async def test_a_request_that_is_signed_by_another_key_is_told_of_to_its_sender_alone(
    samband: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("outside") / "key.json"
    made = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "deploy.request", "key", f"{SYSTEM}-1", "--out", str(out)],
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    code, answer = await ask(samband, fields("lise@eksempel.example"), "--key", str(out))
    assert (code, answer["outcome"], answer["reason"]) == (1, "not_proven", "wrong_signature")


async def test_what_nobody_answers_is_unknown_and_not_lost(samband: Platform) -> None:
    given, name = fields("nina@eksempel.example"), ["--id", str(uuid4())]
    await samband.processes["auth", "worker"].stop(within=40)
    try:
        assert await ask(samband, given, *name, "--within", "5") == (
            3,
            {"outcome": "unknown", "request_id": name[1]},
        )
    finally:
        await samband.start("auth", "worker")
    code, answer = await ask(samband, given, *name)
    assert (code, answer["outcome"]) == (0, "accepted")


@pytest.mark.parametrize(
    ("register", "watch"),
    [("register_account.py", "watch.py"), ("RegisterAccount.java", "Watch.java"), ("register-account.sh", "watch.sh")],
)
async def test_whoever_has_the_page_registers_an_account_and_watches_the_mail_leave(
    register: str, watch: str, samband: Platform, crowd: Crowd, mailbox: Mailbox, tmp_path: Path
) -> None:
    if why := integrators.lacks(register.rpartition(".")[2]):
        pytest.skip(why)
    integrator, address = Integrator.of(samband, tmp_path), f"{register.partition('.')[0].lower()}@eksempel.example"
    ours = integrator.asking(uuid4(), uuid4())
    said = await ours.said(register, address, "en")
    answer = json.loads("{" + said.partition("{")[2])
    assert await ours.said(register, address, "en") == said
    assert "address-taken" in await integrator.said(register, address, "en", code=1)
    assert (answer["system"], answer["request_type"]) == (SYSTEM, RegisterAccount.type)
    person = await crowd.browser(address)
    await person.ask()
    (mail,) = await mailbox.wait_for(1, to=address, within=40)
    assert (await person.redeem(code_in(mail))).status_code == httpx2.codes.CREATED
    assert (await person.who_am_i()).json()["account_id"] == answer["given"]
    assert await integrator.sees(watch, "notifications.deliveries.v1", "MailDelivered", answer["given"])


def test_the_page_seals_in_java_by_points_of_32_bytes_also_where_the_number_is_short_or_long(tmp_path: Path) -> None:
    if why := integrators.lacks("java"):
        pytest.skip(why)
    program = integrators.PROGRAMS["RegisterAccount.java"]
    (fixed,) = re.findall(r"^    static byte\[\] fixed\(.*?^    }$", program, re.MULTILINE | re.DOTALL)
    number = "BigInteger.TWO.pow(bits - 1)"
    shown = f"for (int bits : List.of(1, 240, 256)) System.out.println(HexFormat.of().formatHex(fixed({number})));"
    main = f"public static void main(String[] none) {{ {shown} }}"
    (tmp_path / "Fixed.java").write_text(
        f"import java.math.BigInteger; import java.util.*; class Fixed {{ {fixed} {main} }}"
    )
    said = subprocess.run(
        [str(shutil.which("java")), "Fixed.java"], cwd=tmp_path, capture_output=True, check=False, text=True
    )
    assert said.stdout.split() == [f"{2 ** (bits - 1):064x}" for bits in (1, 240, 256)], said.stderr


def test_a_key_that_is_made_as_the_page_says_is_let_in(tmp_path: Path) -> None:
    if why := integrators.lacks("sh"):
        pytest.skip(why)
    (making,) = re.findall(r"^```sh\n(openssl genpkey.*?)^```$", integrators.PAGE, re.MULTILINE | re.DOTALL)
    said = subprocess.run(["/bin/sh", "-ec", making], cwd=tmp_path, capture_output=True, check=True, text=True)
    allowed = {"keys": [json.loads(said.stdout)], "requests": [RegisterAccount.type], "organisations": ["*"]}
    (tmp_path / f"{SYSTEM}.json").write_text(json.dumps(allowed))
    (system,) = Systems.load(tmp_path)
    pem = (tmp_path / "membership.pem").read_text()
    token = signing.sign(Statement("any"), b"value", OKPKey.import_key(pem, {"kid": "membership-2026"}))
    assert signing.verify(token, b"value", system.keys) == Statement("any")


def test_the_page_has_these_programs_and_says_each_reason_that_there_is() -> None:
    assert {name.rpartition(".")[2] for name in integrators.PROGRAMS} == set(integrators.NEEDS)
    assert len(integrators.PROGRAMS) == 6
    assert [reason for reason in (*Declined, *Unproven) if f"`{reason}`" not in integrators.PAGE] == []
