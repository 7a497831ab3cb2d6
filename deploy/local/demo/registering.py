"""A system outside registers an organisation and asks for an account there, by signed requests."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from uuid_utils.compat import uuid7

from chassis import requests, signing
from chassis.requests import Signed
from chassis.sealing import Keyring
from contracts.auth import RegisterAccount, RegisterOrganisation
from contracts.message import Message
from contracts.requests import SIGNATURE
from deploy.local.demo.cast import NEWCOMER
from deploy.local.demo.scene import Scene
from deploy.local.platform import SYSTEM
from deploy.request import sending
from deploy.request.sending import Cluster


async def be_registered(scene: Scene) -> None:
    """A system outside registers an organisation, then somebody there, signed; its holder logs in."""
    report, made = scene.report, scene.platform
    report.title(f"The system {SYSTEM} registers {NEWCOMER} by a signed request")
    keyring = Keyring.load(SYSTEM, Path(made.environments["auth"]["SAMBAND_PUBLIC_KEYS"]), None)
    key = signing.read_key(made.system_key)

    def sign(model: type[Message], fields: dict[str, str]) -> Signed:
        message = sending.message_of(model, json.dumps(fields).encode())
        return requests.sign(message, uuid7(), datetime.now(UTC), keyring=keyring, key=key)

    organisation = {"organisation_id": str(uuid7()), "name": "Eksempel Regnskap AS", "number": "974760673"}
    place = {"registration_id": str(uuid7()), "organisation_id": organisation["organisation_id"]}
    signed = sign(RegisterAccount, {**place, "address": NEWCOMER, "language": "nb"})
    forged = replace(
        signed, headers={**signed.headers, SIGNATURE: signed.headers[SIGNATURE].partition("..")[0] + "..AA"}
    )
    cluster = Cluster(made.running.kafka, made.topic_prefix)
    nowhere = await sending.send(
        cluster, sign(RegisterAccount, {**place, "address": NEWCOMER, "language": "nb"}), within=25
    )
    report.check(
        f"before its organisation: {(nowhere or {}).get('text')}", holds=(nowhere or {}).get("reason") == "by_rule"
    )
    known = await sending.send(cluster, sign(RegisterOrganisation, organisation), within=25)
    report.check(f"the organisation: {organisation['name']}", holds=(known or {}).get("outcome") == "accepted")
    told, first, second = [await sending.send(cluster, each, within=25) or {} for each in (forged, signed, signed)]
    report.check(f"a forged one: {told.get('text', 'no answer')}", holds=told.get("outcome") == "not_proven")
    report.check(f"the signed one: account {first.get('given')}", holds=first.get("outcome") == "accepted")
    report.check("the same request again: the same answer", holds=first == second)
    person = scene.person(NEWCOMER)
    await person.ask()
    await person.redeem(await scene.mailed_code(person))
    me = (await person.who_am_i()).json()
    report.check("its holder logs in with a code from the mail", holds=me.get("account_id") == first.get("given"))
