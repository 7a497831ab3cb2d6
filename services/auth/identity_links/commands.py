"""Operators' commands about whose employees have which addresses."""

import argparse
from uuid import UUID

from chassis.commands.command import EX_DONE, EX_REFUSED, Command, output, say
from chassis.service import Runtime
from services.auth.identity_links import store
from services.auth.organisations import store as organisations
from services.auth.people.addresses import normalise
from services.auth.people.errors import WrongAddress
from services.auth.settings import AuthSettings


async def add(runtime: Runtime[AuthSettings], given: argparse.Namespace) -> int:
    """Let domains be those of an organisation's employees; gives 1 where there is no such organisation."""
    async with runtime.database.transaction() as conn:
        if await organisations.find_organisation(conn, given.organisation) is None:
            say("There is no organisation of this id.")
            return EX_REFUSED
        for domain in given.domains:
            await store.replace_domain(conn, domain, given.organisation)
    for domain in given.domains:
        output({"domain": domain, "organisation_id": str(given.organisation)})
    return EX_DONE


async def show(runtime: Runtime[AuthSettings], _given: argparse.Namespace) -> int:
    """List the domains."""
    async with runtime.database.transaction() as conn:
        found = await store.find_domains(conn)
    for domain, organisation_id in found:
        output({"domain": domain, "organisation_id": str(organisation_id)})
    return EX_DONE


def read_domain(text: str) -> str:
    """Read the domain of an e-mail address; raises `ArgumentTypeError`."""
    try:
        return str(normalise(f"somebody@{text}")).partition("@")[2]
    except WrongAddress:
        raise argparse.ArgumentTypeError("this is not the domain of an e-mail address") from None


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "domains", nargs="+", type=read_domain, help="what stands behind the @, such as eksempel.example"
    )
    parser.add_argument("--organisation", type=UUID, required=True, help="as `organisations list` shows it")


def _list_arguments(_parser: argparse.ArgumentParser) -> None:
    """There are none."""


COMMANDS = (
    Command(
        "domains add",
        "say whose employees have addresses of a domain",
        _add_arguments,
        add,
        about="Whoever logs in with an electronic ID for the first time and proves such an address is at home in the "
        "organisation. That alone gives no right: its superusers do. A domain belongs to one organisation.",
    ),
    Command("domains list", "list the domains of employees' addresses", _list_arguments, show),
)
