"""What a system outside does, for tests and operators: make its key, send a signed request, upload a file.

Results are JSON on standard output. Exit codes: 0 accepted or done; 1 refused; 2 wrong arguments or input; 3 no answer in
time, or it is not known what came of it: send it again with the same --id; 69 nothing answers there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from aiokafka.errors import KafkaConnectionError, KafkaError
from pydantic import ValidationError
from uuid_utils.compat import uuid7

from chassis import inbound, jwks, requests, signing, systems
from chassis.errors import Misconfigured
from chassis.requests import Signed
from chassis.sealing import Keyring
from chassis.signing import ALGORITHMS
from contracts import catalogue
from contracts.message import time_header
from deploy.request import sending
from deploy.request.sending import Cluster, NotSent

REFUSED, WRONG, UNKNOWN, UNAVAILABLE = 1, 2, 3, 69
TYPES = {message.type: message for message in catalogue.messages() if message.topic.takes_requests}


def make_key(given: argparse.Namespace) -> int:
    """Make a key for a system: the private half goes to a file, and what an operator needs of it to standard output."""
    key = signing.new_key(given.kid, given.curve)
    try:
        number = os.open(given.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        return _wrong(f"{given.out} cannot be made: {error.strerror}")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(json.dumps(key.as_dict(private=True), indent=2) + "\n")
    print(systems.describe(given.kid, [key], given.request, given.organisation)[1], end="")
    return 0


def send(given: argparse.Namespace) -> int:
    """Sign a request of the fields on standard input (JSON, sealed ones in the clear), send it, and print its answer."""
    key, fields = signing.read_key(given.key), sys.stdin.buffer.read()
    try:
        message = sending.message_of(TYPES[given.type], fields)
    except ValidationError as error:
        return _wrong(sending.faults_of(error))
    keyring = _keyring(given.system, given.public_keys, message.topic.owner)
    signed = requests.sign(message, given.id or uuid7(), given.time or datetime.now(UTC), keyring=keyring, key=key)
    if given.print:
        record = {"topic": given.topic_prefix + signed.topic, "key": signed.key, "headers": dict(signed.headers)}
        _say({**record, "value": signed.value.decode()})
        return 0
    return _ask(given, signed)


def _ask(given: argparse.Namespace, signed: Signed) -> int:
    again = f"send it again with --id {signed.headers['ce_id']}"
    try:
        answer = asyncio.run(sending.send(Cluster(given.kafka, given.topic_prefix), signed, within=given.within))
    except NotSent as error:
        return _wrong(str(error))
    except KafkaConnectionError:
        return _wrong(f"Kafka does not answer at {given.kafka}; {again}", UNAVAILABLE)
    except KafkaError as error:
        return _unknown(f"Kafka: {type(error).__name__}; {again}", request_id=signed.headers["ce_id"])
    if answer is None:
        return _unknown(f"no answer in {given.within:g} s; {again}", request_id=signed.headers["ce_id"])
    _say(answer)
    return 0 if answer["outcome"] == "accepted" else REFUSED


def _unknown(why: str, **ids: str) -> int:
    _say({"outcome": "unknown", **ids})
    return _wrong(why, UNKNOWN)


def upload(given: argparse.Namespace) -> int:
    """Upload a file to a service, signed, and print the id to refer to it by."""
    key = signing.read_key(given.key)
    try:
        if not 0 < given.file.stat().st_size <= inbound.LARGEST:
            return _wrong(f"{given.file} must have 1 to {inbound.LARGEST} bytes")
        content = given.file.read_bytes()
    except OSError as error:
        return _wrong(f"{given.file} cannot be read: {error.strerror}")
    return _upload(given, given.id or uuid7(), content, key)


def _upload(given: argparse.Namespace, upload_id: UUID, content: bytes, key: signing.Key) -> int:
    stated = inbound.statement(upload_id, given.service, time_header(datetime.now(UTC)), content)
    headers = {"Authorization": f"Bearer {signing.sign(stated, b'', key)}", "Content-Type": "application/octet-stream"}
    address = given.url.rstrip("/") + inbound.PATH.format(system=given.system)
    again = f"send it again with --id {upload_id}"
    try:
        answer = httpx2.post(
            address, content=content, headers={**headers, "Accept-Language": "en"}, timeout=given.within
        )
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as error:
        return _wrong(f"{address} does not answer: {type(error).__name__}", UNAVAILABLE)
    except httpx2.HTTPError as error:
        return _unknown(f"{address}: {type(error).__name__}; {again}", upload_id=str(upload_id))
    if answer.is_server_error or answer.status_code == httpx2.codes.REQUEST_TIMEOUT:
        return _unknown(f"{address} answered {answer.status_code}; {again}", upload_id=str(upload_id))
    try:
        _say(answer.json())
    except ValueError:
        return _wrong(f"{address} answered {answer.status_code}, and not in JSON", UNAVAILABLE)
    return 0 if answer.is_success else REFUSED


def _keyring(system: str, where: str, reader: str) -> Keyring:
    """Give the system's keyring: from a folder of public key sets, or with the one that its reader shows at an address."""
    if not where.startswith(("http://", "https://")):
        return Keyring.load(system, Path(where), None)
    try:
        shown = httpx2.get(where.rstrip("/") + jwks.PATH, timeout=20).raise_for_status().text
    except httpx2.HTTPError as error:
        raise Misconfigured(f"{where} shows no public keys: {type(error).__name__}") from None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{reader}.json").write_text(shown, encoding="utf-8")
        return Keyring.load(system, Path(folder), None)


def _say(result: dict[str, Any]) -> None:
    print(json.dumps(result, ensure_ascii=False))


def _wrong(text: str, code: int = WRONG) -> int:
    print(f"error: {text}", file=sys.stderr)
    return code


def moment(text: str) -> datetime:
    """Read a time with its zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time with its zone, such as 2026-11-24T08:00:00+01:00")
    return found


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    root = argparse.ArgumentParser(
        prog="python -m deploy.request", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = root.add_subparsers(required=True, metavar="COMMAND")
    keys = _add(actions, "key", make_key)
    keys.add_argument("kid", help="the key's name, such as membership-2026")
    keys.add_argument("--out", type=Path, required=True, help="file for the private key; it must not exist")
    keys.add_argument("--curve", choices=list(ALGORITHMS), default="Ed25519", help="default Ed25519")
    keys.add_argument("--request", action="append", default=[], help="a type that the system may send; repeatable")
    keys.add_argument("--organisation", action="append", default=[], help="whom it may act for, * for all; repeatable")
    sends = _add(actions, "send", send)
    sends.add_argument("type", choices=sorted(TYPES), help="what to ask for")
    _add_system(sends)
    sends.add_argument("--kafka", default=os.environ.get("SAMBAND_KAFKA"), help="host:port; SAMBAND_KAFKA")
    sends.add_argument(
        "--topic-prefix", default=os.environ.get("SAMBAND_TOPIC_PREFIX", ""), help="SAMBAND_TOPIC_PREFIX"
    )
    sends.add_argument("--public-keys", default=os.environ.get("SAMBAND_PUBLIC_KEYS"), help=(
        "folder with <reader>.json, or the address of the service's api; SAMBAND_PUBLIC_KEYS"))  # fmt: skip
    sends.add_argument(
        "--id", type=UUID, help="the request's id; the same again has no second effect; a new one by default"
    )
    sends.add_argument("--time", type=moment, help="when it was made; now by default")
    sends.add_argument("--within", type=float, default=30, help="seconds that all of it may take, default 30")
    sends.add_argument("--print", action="store_true", help="print the signed record, and send nothing")
    uploads = _add(actions, "upload", upload)
    uploads.add_argument("file", type=Path)
    _add_system(uploads)
    uploads.add_argument("--url", required=True, help="address of the service's api")
    uploads.add_argument("--service", required=True, help="the service's name")
    uploads.add_argument("--within", type=float, default=120, help="seconds to wait for the answer, default 120")
    uploads.add_argument(
        "--id", type=UUID, help="the upload's id; the same again is the same file; a new one by default"
    )
    return root


def _add(actions: Any, name: str, work: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    leaf: argparse.ArgumentParser = actions.add_parser(name, help=work.__doc__, description=work.__doc__)
    leaf.set_defaults(work=work)
    return leaf


def _add_system(leaf: argparse.ArgumentParser) -> None:
    leaf.add_argument("--system", required=True, help="who sends")
    leaf.add_argument("--key", type=Path, required=True, help="file with the system's private key (JWK)")


def main() -> int:
    """Run one command; gives the exit code."""
    read = parser()
    given = read.parse_args()
    if given.work is send and not given.print and not given.kafka:
        read.error("--kafka is missing")
    if given.work is send and not given.public_keys:
        read.error("--public-keys is missing")
    try:
        return int(given.work(given))
    except Misconfigured as error:
        return _wrong(str(error))


if __name__ == "__main__":
    sys.exit(main())
