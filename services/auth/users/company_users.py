"""Company users: whom the union lets into its portal, on behalf of which companies (U28, U29)."""

from uuid import UUID

from chassis.postgres import Connection
from services.auth import cursors
from services.auth.organisations import organisations
from services.auth.people import accounts
from services.auth.people import store as people
from services.auth.people.store import Person
from services.auth.people.user_names import Login
from services.auth.rights import grants
from services.auth.rights.grants import Giver
from services.auth.users import store
from services.auth.users.store import CompanyUser
from services.auth.users.users import NewUser

GROUP = "unionfees.company-user"
_SORT = "account"


async def admit(conn: Connection, giver: Giver, organisation_id: UUID, who: NewUser) -> UUID:
    """Let whoever has an address act for a company in the union's portal, with a new account if nobody has it.

    What is known of them already stays as it is. Raises what `grants.give` does.
    """
    await grants.refuse_support(conn, giver.account_id)
    await organisations.require(conn, organisation_id)
    account = await people.lock_account_by_login(conn, Login(who.address))
    if account is None:
        account = await accounts.add(conn, who.address, who.language, Person(who.full_name))
    await grants.give(conn, giver, account.id, organisation_id, GROUP)
    return account.id


async def page(
    conn: Connection, organisation_id: UUID, *, cursor: str | None, limit: int
) -> tuple[list[CompanyUser], str | None]:
    """Give some of a company's users in the union's portal, and the cursor of those after them; raises `WrongCursor`."""
    after = UUID(int=0) if cursor is None else cursors.read_cursor(cursor, _SORT)[1]
    found = await store.find_holders_of(conn, organisation_id, GROUP, after=after, limit=limit + 1)
    more = cursors.write(_SORT, "", found[limit - 1].account_id) if len(found) > limit else None
    return found[:limit], more
