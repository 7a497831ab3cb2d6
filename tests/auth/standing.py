"""Standing: organisations, and whose groups of rights somebody has there; terms that are published."""

from pathlib import Path
from uuid import UUID, uuid4

import services.auth
from chassis.texts import Language
from services.auth.terms import terms
from tests.auth.world import UNION, Owner, World

NAME = "unionfees.confidentiality"
FILE = Path(services.auth.__file__).parent / "terms" / "texts" / f"{NAME}.nb.txt"
COMPANY_USER = "unionfees.company-user"


async def let_act(
    owner: Owner, account_id: UUID, *groups: str, name: str = "Bedriften AS", organisation_id: UUID | None = None
) -> UUID:
    """Let an account act for an organisation with these groups; gives the organisation's id."""
    organisation_id = organisation_id or uuid4()
    await owner.execute(
        "insert into auth.organisations (id, name, kind) values ($1, $2, 'customer') on conflict do nothing",
        organisation_id,
        name,
    )
    membership_id = await owner.fetchval(
        "insert into auth.memberships (account_id, organisation_id) values ($1, $2) returning id",
        account_id,
        organisation_id,
    )
    for group in groups:
        await owner.execute(
            "insert into auth.grants (membership_id, organisation_id, group_name, granted_by) values ($1, $2, $3, 'operator')",
            membership_id,
            organisation_id,
            group,
        )
    return organisation_id


async def publish(
    world: World,
    version: str,
    *,
    language: Language = Language.NB,
    file: str | None = None,
    union: str | None = UNION,
    asks_again: bool = False,
) -> bool:
    """Publish the Taushetserklæring, or another text in its place."""
    text = FILE.read_text(encoding="utf-8") if file is None else file
    async with world.database.transaction() as conn:
        return await terms.publish(
            conn, NAME, version, language=language, file=text, union=union, asks_again=asks_again
        )
