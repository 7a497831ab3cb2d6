"""The Kafka edge of auth: what other systems ask for, and what becomes of mails."""

from uuid import UUID

from chassis import voids
from chassis.handlers import Handlers
from chassis.postgres import Connection
from chassis.requests import Caller, Requests
from contracts.auth import (
    DeactivateAccount,
    GrantRight,
    RegisterAccount,
    RegisterOrganisation,
    RequestAccepted,
    RequestNotProven,
    RequestRefused,
    RevokeRight,
)
from contracts.message import Envelope
from contracts.notifications import MailBounced, MailDelivered
from contracts.privacy import Auth, Sealed
from services.auth.organisations import organisations
from services.auth.organisations.numbers import read_number
from services.auth.people import accounts, names
from services.auth.people.addresses import normalise
from services.auth.rights import grants
from services.auth.rights.grants import Giver
from services.auth.users import mail_troubles, users
from services.auth.users.users import NewUser

HANDLERS = Handlers()
REQUESTS = Requests(HANDLERS, accepted=RequestAccepted, refused=RequestRefused, not_proven=RequestNotProven)
voids.hear(HANDLERS)


@REQUESTS.on(RegisterAccount)
async def register_account(conn: Connection, request: RegisterAccount, caller: Caller) -> UUID:
    name = _clear(request.full_name)
    new = NewUser(
        address=normalise(request.address.clear),
        language=accounts.language_of(request.language.clear),
        user_name=_clear(request.user_name),
        full_name=None if name is None else names.read_name(name),
    )
    return (await users.add(conn, Giver.of_system(caller.system), request.organisation_id, new)).id


@REQUESTS.on(RegisterOrganisation)
async def register_organisation(conn: Connection, request: RegisterOrganisation, _caller: Caller) -> UUID:
    name = organisations.read_name(request.name)
    number = None if request.number is None else read_number(request.number)
    return (await organisations.register(conn, request.organisation_id, name, number)).id


@REQUESTS.on(GrantRight)
async def grant_right(conn: Connection, request: GrantRight, caller: Caller) -> UUID:
    return await grants.give(
        conn, Giver.of_system(caller.system), request.account_id, request.organisation_id, request.group
    )


@REQUESTS.on(RevokeRight)
async def revoke_right(conn: Connection, request: RevokeRight, caller: Caller) -> UUID:
    return await grants.take(
        conn, Giver.of_system(caller.system), request.account_id, request.organisation_id, request.group
    )


@REQUESTS.on(DeactivateAccount)
async def deactivate_account(conn: Connection, request: DeactivateAccount, _caller: Caller) -> UUID:
    await users.deactivate(conn, request.organisation_id, request.account_id)
    return request.account_id


@HANDLERS.on(MailBounced)
async def note_mail_trouble(conn: Connection, bounced: MailBounced, _envelope: Envelope) -> None:
    await mail_troubles.note(conn, bounced)


@HANDLERS.on(MailDelivered)
async def end_mail_trouble(conn: Connection, delivered: MailDelivered, _envelope: Envelope) -> None:
    await mail_troubles.end(conn, delivered)


def _clear(sealed: Sealed[Auth] | None) -> str | None:
    return None if sealed is None else sealed.clear
