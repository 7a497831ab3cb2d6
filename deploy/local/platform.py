"""Platform: Samband's services as processes of their own, on a database and topics made for this run.

A role may be started several times: `worker` and `worker-2` are two processes of one role.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx2

from contracts.catalogue import messages
from contracts.topics import ALL, Topic
from deploy.local import kafka, keysets, ports, processes
from deploy.local.folders import CHECKOUT
from deploy.local.processes import Process
from deploy.local.provider import registration
from deploy.local.provider.registration import Registration
from deploy.local.provision import provision
from deploy.local.stack import Running

Launcher = Callable[[Mapping[str, str], tuple[str, ...]], list[str]]
"""Gives the command that runs a module, with its arguments, in an environment."""

SERVICES = ("auth", "notifications")
SYSTEM = "membership"
"""A system outside that may ask for all that can be asked for, on anybody's behalf."""
ROLES = (("auth", "api"), ("auth", "worker"), ("notifications", "worker"))
ISSUER = "https://auth.eksempelforbundet.example"
TERMS = CHECKOUT / "services" / "auth" / "terms" / "texts"
ORGANISATION = {
    "SAMBAND_ORGANISATION": "Eksempelforbundet",
    "SAMBAND_CODE_SENDER": "ikkesvar@eksempelforbundet.example",
    "SAMBAND_SUPPORT_EMAIL": "kundeservice@eksempelforbundet.example",
    "SAMBAND_SUPPORT_PHONE": "22 00 00 00",
    "SAMBAND_MESSAGE_ID_DOMAIN": "eksempelforbundet.example",
}


def in_this_python(_: Mapping[str, str], module: tuple[str, ...]) -> list[str]:
    """Run a module as a child of ours."""
    return [sys.executable, "-m", *module]


@dataclass(slots=True)
class Platform:
    """The platform of one run; processes are started, killed and started again by service and role."""

    running: Running
    database: str
    topic_prefix: str
    environments: Mapping[str, Mapping[str, str]]
    modules: Mapping[str, str]
    """Each service with the module that is its composition root."""
    system_key: Path
    """The private key of `SYSTEM`, as a file."""
    registration: Registration
    """What auth and the simulator of an identity provider are told of each other."""
    launcher: Launcher = in_this_python
    ports: dict[tuple[str, str], int] = field(default_factory=dict)
    processes: dict[tuple[str, str], Process] = field(default_factory=dict)

    @property
    def admin(self) -> str:
        """A superuser's URL of the run's database, to look behind the scenes."""
        return f"{self.running.postgres.rpartition('/')[0]}/{self.database}"

    def url(self, service: str, role: str) -> str:
        return f"http://{ports.LOOPBACK}:{self.ports[service, role]}"

    async def start(
        self, service: str, role: str, *, program: tuple[str, ...] = (), extra: Mapping[str, str] | None = None
    ) -> Process:
        """Start a role and return once it says that it is ready; `program` goes before the service's module."""
        process = await self.launch(service, role, program=program, extra=extra)
        await self.ready(service, role)
        return process

    async def launch(
        self, service: str, role: str, *, program: tuple[str, ...] = (), extra: Mapping[str, str] | None = None
    ) -> Process:
        """Start a role and return at once; it takes the port that it had before."""
        self.ports.setdefault((service, role), ports.free_port())
        environment = {
            **self.environments[service],
            **(extra or {}),
            "SAMBAND_HTTP_PORT": str(self.ports[service, role]),
        }
        command = self.launcher(environment, (*program, self.modules[service], role.partition("-")[0]))
        log = log_of(self.running, service, role)
        process = await processes.start(f"{service} {role}", command, log=log, environment=environment, folder=CHECKOUT)
        self.processes[service, role] = process
        return process

    async def start_provider(self) -> None:
        """Start the simulator of an identity provider; without it nobody logs in with an electronic ID."""
        told = ("--port", self.registration.issuer.rpartition(":")[2], "--client", str(self.registration.client))
        log = log_of(self.running, "identity", "provider")
        command = [sys.executable, "-m", "deploy.local.provider", *told]
        process = await processes.start(
            "identity provider", command, log=log, environment=_inherited(), folder=CHECKOUT
        )
        self.processes["identity", "provider"] = process
        await processes.ready(process, lambda: _answers(f"{self.registration.issuer}/jwks"), within=40)

    async def ready(self, service: str, role: str, *, within: float = 40) -> None:
        """Wait until a role that was started says that it is ready; raises `SetupError` with the end of its log."""
        await processes.ready(self.processes[service, role], lambda: self._is_ready(service, role), within=within)

    async def run(self, service: str, *arguments: str, within: float = 60) -> str:
        """Run an operator's command to its end and give what it wrote."""
        log = self.running.folder / f"{service}-{arguments[0]}-{secrets.token_hex(3)}.log"
        environment = self.environments[service]
        command = self.launcher(environment, (self.modules[service], *arguments))
        process = await processes.start(
            f"{service} {arguments[0]}", command, log=log, environment=environment, folder=CHECKOUT
        )
        await processes.finish(process, within=within)
        return log.read_text(encoding="utf-8")

    async def publish_terms(self) -> None:
        """Publish the texts of terms that the product brings, as version 1."""
        for path in sorted(TERMS.glob("*.txt")):
            name, _, language = path.stem.rpartition(".")
            what = ("--name", name, "--version", "1", "--language", language)
            await self.run("auth", "terms", "publish", *what, str(path))

    async def kill(self, service: str, role: str) -> None:
        """End a role as a power cut would."""
        process = self.processes[service, role]
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        """Stop what runs, in the order in which requests flow."""
        for process in self.processes.values():
            if process.returncode is None:
                await process.stop(within=40)

    async def _is_ready(self, service: str, role: str) -> bool:
        return await _answers(self.url(service, role) + "/readyz")


@asynccontextmanager
async def platform(  # noqa: PLR0913 - what a platform may differ in; all but two have a default
    running: Running,
    *,
    smtp_port: int,
    settings: Mapping[str, str] | None = None,
    others: Mapping[str, str] | None = None,
    topics: Iterable[Topic] = ALL,
    launcher: Launcher = in_this_python,
) -> AsyncIterator[Platform]:
    """Make database, roles, keys and topics, and migrate; services are started by the caller and stopped at the end.

    `others` are services besides Samband's own, such as those of a test, each with its module. Where the environment
    named the servers, what was made there is removed again.
    """
    modules = {service: f"services.{service}" for service in SERVICES} | dict(others or {})
    name, prefix = f"samband_{secrets.token_hex(4)}", f"run-{secrets.token_hex(4)}."
    urls = await provision(running.postgres, name, modules)
    keys = running.folder / f"keys-{name}"
    keysets.make(keys, modules)
    token_keys, token_key = keysets.make_tokens(keys)
    system_key = keysets.make_system(keys, SYSTEM, [each.type for each in messages() if each.topic.takes_requests])
    addresses = {("auth", "api"): ports.free_port(), ("identity", "provider"): ports.free_port()}
    registered = registration.register(
        keys,
        issuer=f"http://{ports.LOOPBACK}:{addresses['identity', 'provider']}",
        public_url=f"http://{ports.LOOPBACK}:{addresses['auth', 'api']}",
    )
    # A killed worker's partitions move after the session, and nobody shares out requests; a laptop need not wait as long
    # as a cluster.
    common = {
        "SAMBAND_SESSION_SECONDS": "2",
        "SAMBAND_DRAIN_SECONDS": "0",
        "SAMBAND_KAFKA": running.kafka,
        "SAMBAND_TOPIC_PREFIX": prefix,
        **(settings or {}),
    }
    environments = {
        service: {
            **_inherited(),
            **common,
            **_own(service, smtp_port, token_key),
            **(registered.settings if service == "auth" else {}),
            "SAMBAND_DATABASE_URL": urls[service].app,
            "SAMBAND_OWNER_DATABASE_URL": urls[service].owner,
            "SAMBAND_PUBLIC_KEYS": str(keys / "public"),
            "SAMBAND_PRIVATE_KEYS": str(keys / "private" / f"{service}.json"),
            "SAMBAND_SYSTEMS": str(keys / "systems"),
            "SAMBAND_TOKEN_KEYS": str(token_keys),
            "SAMBAND_TOKEN_ISSUER": ISSUER,
        }
        for service in modules
    }
    made = Platform(running, name, prefix, environments, modules, system_key, registered, launcher, addresses)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_drop, running.postgres, name)
        stack.push_async_callback(made.stop)
        await _create_topics(running.kafka, prefix, topics)
        for service in modules:
            await made.run(service, "migrate")
        yield made


def _own(service: str, smtp_port: int, token_key: Path) -> dict[str, str]:
    if service == "auth":
        return {
            "SAMBAND_CODE_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "SAMBAND_PASSWORD_PEPPER": base64.b64encode(secrets.token_bytes(32)).decode(),
            "SAMBAND_MAIL_SENDER": ORGANISATION["SAMBAND_CODE_SENDER"],
            "SAMBAND_TOKEN_PRIVATE_KEYS": str(token_key),
            "SAMBAND_UNION_NAME": ORGANISATION["SAMBAND_ORGANISATION"],
        }
    if service != "notifications":
        return {}
    return {
        **ORGANISATION,
        "SAMBAND_PORTAL_URL": "https://portal.eksempelforbundet.example",
        "SAMBAND_SMTP_HOST": ports.LOOPBACK,
        "SAMBAND_SMTP_PORT": str(smtp_port),
        "SAMBAND_SMTP_STARTTLS": "false",
        "SAMBAND_SMTP_ANSWER_SECONDS": "3",
        "SAMBAND_SMTP_ACCEPT_SECONDS": "3",
    }


async def _answers(url: str) -> bool:
    try:
        async with httpx2.AsyncClient() as client:
            return (await client.get(url)).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SAMBAND_")}


async def _create_topics(bootstrap: str, prefix: str, topics: Iterable[Topic]) -> None:
    await kafka.create_topics(
        bootstrap, [kafka.Topic(prefix + topic.name, topic.partitions, topic.config()) for topic in topics]
    )


async def _drop(admin: str, name: str) -> None:
    conn = await asyncpg.connect(admin)
    try:
        # lint: allow sql -- the name of a database is no parameter; this one was drawn above
        await conn.execute(f"drop database if exists {name} with (force)")
    finally:
        await conn.close()


def log_of(running: Running, service: str, role: str) -> Path:
    """Tell where a role's log lines go."""
    return running.folder / f"{service}-{role}.log"
