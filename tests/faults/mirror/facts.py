"""Facts: what `auth` tells of accounts and rights, noted as it comes, and kept as every reader keeps it: the newest."""

from collections.abc import Sequence
from uuid import UUID

from chassis.handlers import Handlers, Lane
from chassis.postgres import Connection
from contracts.auth import AccountChanged, RightsChanged
from contracts.message import Envelope

INSERT_HEARD = "insert into heard (type, key, version, groups, event_id) values ($1, $2, $3, $4, $5)"
UPSERT_STANDING = """
insert into standing as s (type, key, epoch, version, groups) values ($1, $2, $3, $4, $5)
on conflict on constraint standing_pk do update
set epoch = excluded.epoch, version = excluded.version, groups = excluded.groups
where (s.epoch, s.version) < (excluded.epoch, excluded.version)"""


def add(handlers: Handlers) -> None:
    """Have these facts read, in a lane of their own."""

    @handlers.on(AccountChanged, lane=Lane.URGENT)
    async def hear_of_account(conn: Connection, changed: AccountChanged, envelope: Envelope) -> None:
        await _hear(conn, envelope, changed.account_id, changed.epoch, changed.version)

    @handlers.on(RightsChanged, lane=Lane.URGENT)
    async def hear_of_rights(conn: Connection, changed: RightsChanged, envelope: Envelope) -> None:
        await _hear(conn, envelope, changed.membership_id, changed.epoch, changed.version, changed.groups)


async def _hear(
    conn: Connection, envelope: Envelope, key: UUID, epoch: int, version: int, groups: Sequence[str] = ()
) -> None:
    await conn.execute(INSERT_HEARD, envelope.type, key, version, groups, envelope.id)
    await conn.execute(UPSERT_STANDING, envelope.type, key, epoch, version, groups)
