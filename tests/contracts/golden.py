"""Golden: makes an example of a message, sealed to test keys that lie beside this file.

    python -m tests.contracts.golden auth.AccountChanged.v1 < fields.json

reads the fields as JSON, sealed ones in the clear, and keeps them as the type's next example: what the outbox and the
relay would have sent. Use synthetic people only.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from uuid_utils.compat import uuid7

from chassis import outbox, requests, signing
from chassis.sealing import Keyring, NoKeyFor
from chassis.signing import Key
from contracts import catalogue
from contracts.message import Headers, Message
from contracts.privacy import Sealed
from deploy.documents import examples
from deploy.documents.examples import Example
from deploy.local.folders import CHECKOUT

KEYS = Path(__file__).with_name("golden_keys")
MOMENT = datetime(2026, 11, 23, 8, tzinfo=UTC)
SYSTEM = "membership"
"""Who sends the requests among the examples."""


def keyring(service: str) -> Keyring:
    """Give the keys of a service in the examples: it seals to all readers and opens what is sealed to itself."""
    return Keyring.load(
        service, KEYS / "public", own if (own := KEYS / "private" / f"{service}.json").exists() else None
    )


def signing_key() -> Key:
    """Give the private key of the system outside."""
    return signing.read_key(KEYS / "signing" / f"{SYSTEM}.json")


def record(message: Message, message_id: UUID) -> Example:
    """Write a message as the outbox and the relay do, a request as a system outside does."""
    if message.topic.takes_requests:
        signed = requests.sign(message, message_id, MOMENT, keyring=keyring(SYSTEM), key=signing_key())
        return Example(signed.topic, signed.key, dict(signed.headers), signed.value.decode())
    owner = message.topic.owner
    value = outbox.encode(message, str(message_id), keyring(owner))
    headers = Headers(message_id, owner, message.type, message.key).as_dict()
    owed = outbox.Owed(1, message_id, message.topic.name, message.key, headers, value, MOMENT)
    return Example(owed.topic, owed.key, {name: text.decode() for name, text in owed.kafka_headers()}, value.decode())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.golden", description=__doc__)
    types = {message.type: message for message in catalogue.messages()}
    parser.add_argument("type", choices=sorted(types))
    try:
        example = record(read(types[parser.parse_args().type], sys.stdin.buffer.read()), uuid7())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'input'}: {fault['msg']}" for fault in error.errors())
        print(f"error: {faults}", file=sys.stderr)
        return 1
    except NoKeyFor as error:
        print(f"error: {error}; add a key set of tests to {KEYS.relative_to(CHECKOUT)}", file=sys.stderr)
        return 1
    print(examples.add(example.headers["ce_type"], example).relative_to(CHECKOUT))
    return 0


def read(model: type[Message], given: bytes) -> Message:
    """Read a message whose sealed fields are in the clear; raises `ValidationError`."""
    fields = TypeAdapter(dict[str, object]).validate_json(given)
    sealed: dict[str, object] = {name: Sealed(str(fields[name])) for name in model.readers if name in fields}
    return model.model_validate(fields | sealed)


if __name__ == "__main__":
    sys.exit(main())
