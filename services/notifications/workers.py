"""The loops of notifications besides the courier."""

from chassis.loop import Loop
from chassis.postgres import Database
from services.notifications import store
from services.notifications.settings import NotificationsSettings

PRUNE_SECONDS = 60.0
CHUNK = 5_000


def pruning(database: Database, settings: NotificationsSettings) -> Loop:
    """Make the loop that forgets settled mails after their days."""

    async def prune() -> int:
        async with database.transaction() as conn:
            return await store.prune_mails(conn, days=settings.keep_mails_days, limit=CHUNK) // CHUNK

    return Loop("mails_prune", prune, every=PRUNE_SECONDS)
