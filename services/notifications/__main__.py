"""Composition root of notifications."""

import sys
from collections.abc import Sequence
from pathlib import Path

from chassis import cli
from chassis.loop import Loop
from chassis.service import Runtime, Service
from chassis.texts import Texts
from chassis.upkeep import Upkeep
from services.notifications import checks, restore, workers
from services.notifications.consumers import HANDLERS
from services.notifications.courier import Courier
from services.notifications.rendering import Renderer
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import Mailer

FOLDER = Path(__file__).parent


def loops(runtime: Runtime[NotificationsSettings]) -> Sequence[Loop]:
    renderer = Renderer(FOLDER / "templates", Texts(FOLDER / "locales"))
    courier = Courier(runtime.database, Mailer(runtime.settings), renderer, runtime.settings)
    return [*courier.loops(), workers.pruning(runtime.database, runtime.settings)]


SERVICE = Service(
    "notifications",
    NotificationsSettings,
    FOLDER,
    handlers=HANDLERS,
    loops=loops,
    upkeep=Upkeep(settle=restore.settle, checks=checks.checks),
)

if __name__ == "__main__":
    sys.exit(cli.main(SERVICE))
