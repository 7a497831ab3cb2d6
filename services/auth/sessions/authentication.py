"""Authentication: who calls auth itself: a browser by the cookie of its session, a program by an access token for auth."""

from fastapi import Request

from chassis import access
from chassis.access import Bearer, Caller
from chassis.openapi import Recognition
from chassis.postgres import Connection
from chassis.service import Runtime
from chassis.tokens import Assurance
from contracts import rights
from services.auth.front import SESSION, Front
from services.auth.sessions import sessions
from services.auth.sessions.errors import NotLoggedIn
from services.auth.sessions.store import Session
from services.auth.settings import AuthSettings

SERVICE = "auth"


class Authentication:
    """Finds out who sends a request to auth."""

    recognition = Recognition(
        {
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": SESSION,
                "description": "A browser's session, as the routes that log in give it.",
            }
        },
        (NotLoggedIn,),
    )

    def __init__(self, front: Front, bearer: Bearer) -> None:
        self._front = front
        self._bearer = bearer

    async def __call__(self, request: Request) -> Caller:
        """Give the caller, with their rights at this moment; raises `NotLoggedIn`, and what `Bearer` raises."""
        token = request.cookies.get(SESSION)
        if token is None and "authorization" in request.headers:
            return await self._bearer(request)
        if token is None:
            raise NotLoggedIn
        async with self._front.database.transaction() as conn:
            return await _caller(conn, await sessions.current(conn, token, keys=self._front.keys))


async def _caller(conn: Connection, session: Session) -> Caller:
    acting = await sessions.acting(conn, session)
    return Caller(
        account_id=session.account_id,
        session_id=session.id,
        organisation_id=acting.organisation_id if acting else None,
        rights=rights.rights_of(acting.groups, service=SERVICE) if acting else frozenset(),
        assurance=Assurance(session.assurance),
    )


def of(front: Front, runtime: Runtime[AuthSettings]) -> Authentication:
    """Make it; raises `Misconfigured` where nothing says whose tokens are good."""
    return Authentication(front, access.bearer(runtime.settings, SERVICE, runtime.voids))
