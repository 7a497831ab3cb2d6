"""The Kafka edge of auth: what other systems ask for."""

from uuid import UUID

from chassis.handlers import Handlers
from chassis.postgres import Connection
from chassis.requests import Caller, Requests
from contracts.auth import RegisterAccount, RequestAccepted, RequestNotProven, RequestRefused
from services.auth.people import accounts
from services.auth.people.addresses import normalise

HANDLERS = Handlers()
REQUESTS = Requests(HANDLERS, accepted=RequestAccepted, refused=RequestRefused, not_proven=RequestNotProven)


@REQUESTS.on(RegisterAccount)
async def register_account(conn: Connection, request: RegisterAccount, _caller: Caller) -> UUID:
    address, language = normalise(request.address.clear), accounts.language_of(request.language.clear)
    return (await accounts.add(conn, address, language)).id
