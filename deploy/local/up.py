"""Up: keep the whole platform running on a laptop until Ctrl-C.

`python -m deploy.local.up` prints where everything answers. A service that ends by itself is started again, as an
orchestrator would.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from uuid import UUID

from deploy.local import program
from deploy.local.errors import SetupError
from deploy.local.mailbox import Mailbox
from deploy.local.platform import ROLES, SYSTEM, Platform, log_of, platform
from deploy.local.stack import stack

PERSON = "kari.nordmann@eksempel.example"
SUPERUSER = "superbruker@eksempel.example"
ORGANISATION = str(UUID(int=2))
REGISTRATION = json.dumps(
    {
        "registration_id": str(UUID(int=1)),
        "organisation_id": ORGANISATION,
        "address": "ola.nordmann@eksempel.example",
        "language": "nb",
    }
)
AGAIN_SECONDS = 2.0


async def main() -> int:
    """Start all, say where it is, and wait."""
    async with (
        stack("up") as running,
        Mailbox(http_port=0) as mailbox,
        platform(running, smtp_port=mailbox.smtp_port) as made,
    ):
        await made.start_provider()
        for service, role in ROLES:
            await made.start(service, role)
            program.tell(f"{service} {role} ready")
        await made.run("auth", "accounts", "add", PERSON)
        await made.publish_terms()
        await made.run("auth", "organisations", "add", "Eksempel AS", "--id", ORGANISATION)
        await made.run("auth", "superusers", "add", "--organisation", ORGANISATION, SUPERUSER)
        _show(made, mailbox)
        await asyncio.gather(*(_keep(made, *role) for role in ROLES))
    return 0


async def _keep(made: Platform, service: str, role: str) -> None:
    while True:
        code = await made.processes[service, role].wait()
        program.tell(f"{service} {role} ended with exit code {code}; starting it again")
        try:
            await made.start(service, role)
        except SetupError as error:
            program.tell(str(error))
            await asyncio.sleep(AGAIN_SECONDS)


def _show(made: Platform, mailbox: Mailbox) -> None:
    api = made.url("auth", "api")
    print(f"""
Samband is up. Ctrl-C stops everything and leaves nothing behind.

  caught e-mails   {mailbox.page}
  auth             {api}  (metrics at /metrics, health at /livez and /readyz)
  electronic ID    {made.registration.issuer}  (a simulator: who logs in, and what it does wrong, is chosen there)
  PostgreSQL       {made.admin}
  Kafka            {made.running.kafka}  (topics begin with {made.topic_prefix})
  logs             {log_of(made.running, "auth", "api").parent}
  traces           {os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "none: set OTEL_EXPORTER_OTLP_ENDPOINT to have them sent")}

Ask for a code, then look at the caught e-mails:

  curl -s -c cookies -H 'content-type: application/json' {api}/v1/login-codes -d '{{"address": "{PERSON}"}}'

Or log in with an electronic ID: go to the address that is answered, and choose who you are:

  curl -s -c cookies -H 'content-type: application/json' {api}/v1/identity-providers/id-porten/log-ins -d '{{}}'

{SUPERUSER} is the superuser of an organisation, {ORGANISATION}.
Or let a system outside register somebody first (docs/integrate.md):

  echo '{REGISTRATION}' |
    .venv/bin/python -m deploy.request send auth.RegisterAccount.v1 --system {SYSTEM} --key {made.system_key} \\
      --kafka {made.running.kafka} --topic-prefix {made.topic_prefix} --public-keys {api}
""")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(program.run(main()))
