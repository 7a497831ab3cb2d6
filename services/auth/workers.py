"""The loops of auth."""

from chassis.loop import Loop
from chassis.postgres import Database
from services.auth.access_orders import access_orders
from services.auth.access_orders import store as orders_store
from services.auth.codes import challenges
from services.auth.codes import store as codes
from services.auth.identities import store as identities
from services.auth.identity_providers import store as identity_providers
from services.auth.keys import Chance, Keys
from services.auth.limits import Limits
from services.auth.passwords import blocks
from services.auth.passwords import store as passwords
from services.auth.sessions import store as sessions

POLL_SECONDS = 0.5
ORDERS_SECONDS = 2.0
BLOCK_SECONDS = 2.0
PRUNE_SECONDS = 60.0
CHUNK = 5_000
PRUNED = (codes.prune, sessions.prune, passwords.prune, identities.prune, identity_providers.prune)


def loops(database: Database, *, keys: Keys, chance: Chance, limits: Limits) -> list[Loop]:
    """Make the loops: one issues codes, woken when one is asked for, one tells of blocks, one forgets what is over."""

    async def issue() -> int:
        async with database.transaction() as conn:
            return int(await challenges.settle_next(conn, limits=limits, keys=keys, chance=chance))

    async def tell() -> int:
        async with database.transaction() as conn:
            return int(await blocks.tell_next(conn))

    async def forget() -> int:
        async with database.transaction() as conn:
            return max([await prune(conn, CHUNK) for prune in PRUNED]) // CHUNK

    issuing = Loop("codes", issue, every=POLL_SECONDS)
    database.bell.hear(challenges.ASKED_BELL, issuing.wake)
    return [issuing, Loop("blocks", tell, every=BLOCK_SECONDS), Loop("auth_prune", forget, every=PRUNE_SECONDS)]


def ordering(database: Database, *, keep_days: int) -> list[Loop]:
    """Make the loops of orders for access: one tells whoever may decide, woken when one is made, one forgets old ones."""

    async def tell() -> int:
        async with database.transaction() as conn:
            return int(await access_orders.tell_next(conn))

    async def forget() -> int:
        async with database.transaction() as conn:
            return await orders_store.prune(conn, days=keep_days, limit=CHUNK) // CHUNK

    telling = Loop("access_orders", tell, every=ORDERS_SECONDS)
    database.bell.hear(access_orders.ORDERED_BELL, telling.wake)
    return [telling, Loop("access_orders_prune", forget, every=PRUNE_SECONDS)]
